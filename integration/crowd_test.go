package integration

import (
	"maps"
	"slices"
	"sync"
	"testing"
)

// tally counts outcomes. It may be used from any goroutine.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (l *tally) add(outcome string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = make(map[string]int)
	}
	l.counts[outcome]++
}

func (l *tally) of(outcome string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[outcome]
}

// allBut returns the outcomes other than these.
func (l *tally) allBut(expected ...string) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	others := maps.Clone(l.counts)
	maps.DeleteFunc(others, func(outcome string, _ int) bool { return slices.Contains(expected, outcome) })
	return others
}

// inCrowd does something count times, some of them at once.
func inCrowd(size, count int, do func(i int)) {
	queue := make(chan int)
	var crowd sync.WaitGroup
	for range size {
		crowd.Go(func() {
			for i := range queue {
				do(i)
			}
		})
	}
	for i := range count {
		queue <- i
	}
	close(queue)
	crowd.Wait()
}

// crew works until it is told to stop.
type crew struct {
	workers sync.WaitGroup
	done    chan struct{}
	once    sync.Once
}

func newCrew(t *testing.T) *crew {
	w := &crew{done: make(chan struct{})}
	t.Cleanup(w.stop)
	return w
}

// repeat does some work again and again, and at least once.
func (w *crew) repeat(work func()) {
	w.workers.Go(func() {
		for {
			work()
			select {
			case <-w.done:
				return
			default:
			}
		}
	})
}

func (w *crew) stop() {
	w.once.Do(func() { close(w.done) })
	w.workers.Wait()
}
