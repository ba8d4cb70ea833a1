package monotonic

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	now := time.Now()
	c := NewClock(func() time.Time { return now })
	for _, passed := range []time.Duration{0, 1, time.Hour} {
		now = now.Add(passed)
		if got := c.NowNano(); got != int64(passed) {
			t.Errorf("%d ns after the start, want %d", got, int64(passed))
		}
		now = now.Add(-passed)
	}
	if <-c.Tick(time.Nanosecond); c.NowNano() != 0 {
		t.Error("a tick moves the clock")
	}
}
