package main

import (
	"fmt"
	"math"
	"os"
	"time"
)

const (
	// warmUp is how long a row is used before it is measured.
	warmUp = time.Second
	// steady is how far the ungated row of a round may be from the median of all rounds. Rounds beyond it are not counted: the
	// machine was busy with something else.
	steady = 0.10
	// saturated is how little idle time of the second core says that it was wrk that was measured.
	saturated = 0.03
)

// sample is one measurement of a row.
type sample struct {
	load
	// cpu is Caddy's time for a request.
	cpu time.Duration
	// calls is how often BWS was asked for a request.
	calls float64
	// idle is the part of the time in which wrk's core had nothing to do.
	idle float64
}

// measure takes all rows in turn, round by round, so that a slow minute of the machine hits all of them.
func measure(r *report, c *caddy, s *stubs, rounds int, each time.Duration) error {
	for app, name := range apps {
		samples := make([][]sample, len(rows))
		for round := range rounds {
			fmt.Fprintf(os.Stderr, "%s, round %d of %d\n", name, round+1, rounds)
			for i := range rows {
				one, err := take(c, s, port(i, app), rows[i], each)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", name, rows[i].name, err)
				}
				samples[i] = append(samples[i], one)
			}
		}
		r.table(name, samples)
	}
	return nil
}

// measureDelayed is a smaller table with a BWS that takes its time.
func measureDelayed(r *report, c *caddy, s *stubs, each time.Duration) error {
	s.delay.Store(int64(20 * time.Millisecond))
	defer s.delay.Store(0)
	const rounds = 3
	samples := make([][]sample, len(rows))
	for range rounds {
		for _, i := range []int{ungated, gate, adapterUncached} {
			one, err := take(c, s, port(i, 0), rows[i], each)
			if err != nil {
				return fmt.Errorf("20 ms, %s: %w", rows[i].name, err)
			}
			samples[i] = append(samples[i], one)
		}
	}
	r.table("static, with a BWS that takes 20 ms", samples)
	return nil
}

// take measures a row once, with a token of its own.
func take(c *caddy, s *stubs, port int, row row, each time.Duration) (sample, error) {
	headers := row.headers(s.token())
	if _, err := wrk(port, headers, many, warmUp); err != nil {
		return sample{}, err
	}
	calls := s.calls.Load()
	idleBefore, allBefore, err := idle()
	if err != nil {
		return sample{}, err
	}
	before, err := c.cpu()
	if err != nil {
		return sample{}, err
	}
	l, err := wrk(port, headers, many, each)
	if err != nil {
		return sample{}, err
	}
	after, err := c.cpu()
	if err != nil {
		return sample{}, err
	}
	idleAfter, allAfter, err := idle()
	if err != nil {
		return sample{}, err
	}
	if l.refused > 0 || l.requests == 0 {
		return sample{}, fmt.Errorf("%d of %d requests were refused", l.refused, l.requests)
	}
	return sample{
		load:  l,
		cpu:   (after - before) / time.Duration(l.requests),
		calls: float64(s.calls.Load()-calls) / float64(l.requests),
		idle:  float64(idleAfter-idleBefore) / math.Max(1, float64(allAfter-allBefore)),
	}, nil
}
