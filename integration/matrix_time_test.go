package integration

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// ungated measures all the time how long a request takes that goes through the same Caddy to the same app, but through no gate. So
// busy is the machine; what the gate does is held against that.
type ungated struct {
	mu   sync.Mutex
	runs []run
}

// run is a request, that has ended or not. It begins with the end of the one before: what keeps it from being sent counts.
type run struct{ start, end time.Time }

// start begins to measure.
func (u *ungated) start(t *testing.T, client *http.Client, url string) {
	const pause = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	done.Go(func() {
		for ctx.Err() == nil {
			i := u.add(time.Now())
			time.Sleep(pause)
			_, err := ask(ctx, client, http.MethodGet, url, "")
			if err != nil && ctx.Err() == nil {
				t.Errorf("a request that no gate delays: %v", err)
				return
			}
			u.ended(i, time.Now())
		}
	})
}

func (u *ungated) add(start time.Time) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.runs = append(u.runs, run{start: start})
	return len(u.runs) - 1
}

func (u *ungated) ended(i int, end time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.runs[i].end = end
}

// longest is how long one has taken of those that were under way between two times, or has taken so far.
func (u *ungated) longest(from, to time.Time) (longest time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range slices.Backward(u.runs) {
		if r.end.IsZero() {
			r.end = to
		}
		if r.end.Before(from) {
			break
		}
		if r.start.Before(to) {
			longest = max(longest, r.end.Sub(r.start))
		}
	}
	return longest
}
