// Package monotonic is the time of caches. It goes on evenly when somebody sets the wall clock, so that nothing is kept longer than it
// may be.
package monotonic

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// Clock counts from when it was made. It is the clock of a cache.
type Clock struct {
	now   func() time.Time
	start time.Time
}

// NewClock returns a clock that counts by now, whose times must have a monotonic part, as those of [time.Now] have.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now, start: now()} }

// NowNano returns how many nanoseconds have passed.
func (c *Clock) NowNano() int64 { return int64(c.now().Sub(c.start)) }

// Tick returns when to clear away what has expired. It counts real time, also where now does not: it decides nothing.
func (*Clock) Tick(d time.Duration) <-chan time.Time { return time.Tick(d) }

// Interface guard
var _ otter.Clock = (*Clock)(nil)
