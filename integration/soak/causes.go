package main

import (
	"sync"
	"time"
)

// cause is why an authorized request may fail.
type cause string

const (
	causeOutage cause = "BWS fails"
	causeReload cause = "the node reloads"
	causeKill   cause = "the node was killed"
)

// causes remembers what went wrong when, and where.
type causes struct {
	mu  sync.Mutex
	all []*incident
}

type incident struct {
	cause      cause
	node       string
	begun, end time.Time
}

// begin tells of something that goes wrong, on a node or, with "", everywhere. It has consequences for some time after its end.
func (c *causes) begin(what cause, node string) (end func(aftermath time.Duration)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := &incident{cause: what, node: node, begun: time.Now(), end: time.Now().Add(time.Hour)}
	c.all = append(c.all, i)
	return func(aftermath time.Duration) {
		c.mu.Lock()
		defer c.mu.Unlock()
		i.end = time.Now().Add(aftermath)
	}
}

// between returns what went wrong on a node at some time between two.
func (c *causes) between(from, to time.Time, node string) map[cause]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := make(map[cause]bool)
	for _, i := range c.all {
		if (i.node == "" || i.node == node) && i.begun.Before(to) && from.Before(i.end) {
			found[i.cause] = true
		}
	}
	return found
}

func (c *causes) count(what cause) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.all {
		if i.cause == what {
			n++
		}
	}
	return n
}
