package verifier

import (
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// goDown makes the service count as down, so long ago that a probe is due.
func (s *subject) goDown() {
	s.service.will(outage)
	for range breakAfter {
		s.ask("a token")
	}
	time.Sleep(probeAfter)
	s.service.asked()
	s.logs.TakeAll()
}

// When the service may be back, one question finds out. The others do not wait for that.
func TestProbe(t *testing.T) {
	for name, test := range map[string]struct {
		reply reply
		took  time.Duration
		then  circuitbreaker.State
	}{
		"success":   {succeeded.afterTime(time.Second), time.Second, circuitbreaker.ClosedState},
		"rejection": {rejected.afterTime(time.Second), time.Second, circuitbreaker.ClosedState},
		"204":       {pending.afterTime(time.Second), time.Second, circuitbreaker.ClosedState},
		"outage":    {outage.afterTime(time.Second), time.Second, circuitbreaker.OpenState},
		"retryable": {unavailable.afterTime(time.Second), time.Second + maxRetryDelay, circuitbreaker.OpenState},
		"silence":   {silence, 5 * time.Second, circuitbreaker.OpenState},
		"no end":    {reply{status: 200, body: success, endless: true}, 5 * time.Second, circuitbreaker.OpenState},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.goDown()
				s.service.will(test.reply)
				began := time.Now()
				var waited atomic.Int64
				got := herd(s.MaxInflight, func(i int) *evidence.Evidence {
					e := s.ask("new " + strconv.Itoa(i))
					if time.Since(began) > 0 {
						waited.Add(1)
					}
					return e
				})
				s.checkAsked(t, 1)
				if waited.Load() != 1 || got[evidence.Unavailable] < s.MaxInflight-1 {
					t.Errorf("%d waited for the probe, and there came %v of it", waited.Load(), got)
				}
				checkTook(t, began, 0, test.took)
				s.checkState(t, test.then)

				s.service.will(succeeded)
				s.logs.TakeAll()
				if test.then == circuitbreaker.OpenState {
					s.checkDown(t)
					time.Sleep(probeAfter)
				}
				checkOutcome(t, s.ask(token), evidence.Answered)
				s.checkAsked(t, 1)
				s.checkState(t, circuitbreaker.ClosedState)
			})
		})
	}
}

// Down for hours costs a call every probeAfter, however many ask.
func TestLongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t, func(c *Config) { c.ClientCalls = 1_000_000 })
		s.goDown()
		const minutes = 10
		for i := range minutes * 60 * 4 {
			s.ask(strconv.Itoa(i))
			time.Sleep(time.Second / 4)
		}
		if calls, most := s.service.asked(), int(minutes*time.Minute/probeAfter); calls > most || calls < most/2 {
			t.Errorf("%d calls in %d minutes, want about one every %s", calls, minutes, probeAfter)
		}
	})
}

// More questions than there may be calls are answered at once. That says nothing about the service, and leaves it alone.
func TestFullHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t, func(c *Config) { c.MaxInflight = 3 })
		s.service.will(succeeded.afterTime(time.Second))
		began := time.Now()
		got := herd(crowd, func(i int) *evidence.Evidence {
			e := s.ask(strconv.Itoa(i))
			if e.Outcome == evidence.Busy {
				checkTook(t, began, 0, 0)
			}
			return e
		})
		if got[evidence.Answered] != 3 || got[evidence.Busy] != crowd-3 {
			t.Errorf("got %v, want 3 answers and the others told that it is busy", got)
		}
		s.checkAsked(t, 3)
		s.checkState(t, circuitbreaker.ClosedState)
		s.checkLog(t, quiet)

		// Places are given back.
		if got := herd(3, func(i int) *evidence.Evidence { return s.ask("new " + strconv.Itoa(i)) }); got[evidence.Answered] != 3 {
			t.Errorf("afterwards there came %v", got)
		}
	})
}

// A crowd that finds all places taken neither ends a probe nor decides what comes of it.
func TestFullHouseDuringProbe(t *testing.T) {
	for name, test := range map[string]struct {
		reply reply
		then  circuitbreaker.State
	}{
		"success": {succeeded, circuitbreaker.ClosedState},
		"outage":  {outage, circuitbreaker.OpenState},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t, func(c *Config) { c.MaxInflight = 1 })
				s.goDown()
				s.service.will(test.reply.afterTime(time.Second))
				go s.ask(token)
				synctest.Wait()
				got := herd(crowd, func(i int) *evidence.Evidence { return s.ask(strconv.Itoa(i)) })
				if got[evidence.Busy] != crowd {
					t.Errorf("got %v, want all told that it is busy", got)
				}
				s.checkState(t, circuitbreaker.HalfOpenState)
				time.Sleep(time.Second)
				synctest.Wait()
				s.checkState(t, test.then)
				s.checkAsked(t, 1)
			})
		})
	}
}
