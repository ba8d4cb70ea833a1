package verifier

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

const crowd = 256

// However many ask, and whatever is known of the token, the service is asked once.
func TestHerds(t *testing.T) {
	const delay = 100 * time.Millisecond
	for name, test := range map[string]struct {
		// before is what the service has said earlier, and since when.
		before *reply
		since  time.Duration
		now    reply
		want   evidence.Outcome
	}{
		"cold":                   {nil, 0, succeeded, evidence.Answered},
		"remembered":             {&succeeded, time.Second, outage, evidence.Answered},
		"expiring":               {&succeeded, 10 * time.Second, succeeded, evidence.Answered},
		"expiring, then failing": {&succeeded, 10 * time.Second, outage, evidence.Unavailable},
		"failed":                 {&failed, time.Second, failed, evidence.Answered},
		"pending":                {&pending, 0, pending, evidence.Pending},
		"no longer pending":      {&pending, 0, succeeded, evidence.Answered},
		"failing":                {&outage, 0, outage, evidence.Unavailable},
		"refused":                {&rejected, time.Second, rejected, evidence.Rejected},
		"silent":                 {nil, 0, silence, evidence.TimedOut},
		"panicking":              {nil, 0, reply{panics: "x"}, evidence.Crashed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				if test.before != nil {
					s.service.will(*test.before)
					s.ask(token)
					s.checkAsked(t, 1)
					time.Sleep(test.since)
				}
				s.service.will(test.now.afterTime(max(delay, test.now.after)))
				got := herd(crowd, func(int) *evidence.Evidence { return s.ask(token) })
				if want := map[evidence.Outcome]int{test.want: crowd}; !maps.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				calls := 1
				if name == "remembered" {
					calls = 0
				}
				s.checkAsked(t, calls)
			})
		})
	}
}

// Requests that come in while the service is asked join, and none of them waits longer than the call takes.
func TestLatecomersJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(succeeded.afterTime(crowd * time.Millisecond))
		began := time.Now()
		got := herd(crowd, func(i int) *evidence.Evidence {
			time.Sleep(time.Duration(i) * time.Millisecond)
			return s.ask(token)
		})
		checkTook(t, began, crowd*time.Millisecond, crowd*time.Millisecond)
		if got[evidence.Answered] != crowd {
			t.Errorf("got %v, want %d answers", got, crowd)
		}
		s.checkAsked(t, 1)
	})
}

// Different tokens are different questions, which do not wait for each other.
func TestTokensDoNotShareCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(silence, rejected)
		go s.ask(token)
		synctest.Wait()
		began := time.Now()
		checkOutcome(t, s.ask("another token"), evidence.Rejected)
		checkTook(t, began, 0, 0)
		s.checkAsked(t, 2)
		time.Sleep(s.Timeout)
	})
}

// Whoever leaves gets away at once, and takes nobody along: neither the one who came first, nor another, nor all.
func TestLeavers(t *testing.T) {
	for name, leaves := range map[string]func(i int) bool{
		"the first":   func(i int) bool { return i == 0 },
		"a follower":  func(i int) bool { return i == 1 },
		"all but one": func(i int) bool { return i != 2 },
		"all":         func(int) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.service.will(succeeded.afterTime(time.Second))
				began := time.Now()
				herd(8, func(i int) *evidence.Evidence {
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					time.Sleep(time.Duration(i) * time.Millisecond)
					if leaves(i) {
						time.AfterFunc(10*time.Millisecond, cancel)
					}
					e := s.Verify(ctx, s.question(client, token))
					want, after := evidence.Answered, time.Second
					if leaves(i) {
						want, after = evidence.Unavailable, time.Duration(10+i)*time.Millisecond
					}
					checkOutcome(t, e, want)
					checkTook(t, began, after, after)
					return e
				})
				time.Sleep(time.Until(began.Add(time.Second)))
				synctest.Wait()
				if s.recall(token) == nil {
					t.Error("the answer is not remembered")
				}
				s.checkAsked(t, 1)
				s.checkLog(t, quiet)
			})
		})
	}
}

// A question ends when its time is over, whatever the service does and however long its requests would wait.
func TestDeadline(t *testing.T) {
	for name, reply := range map[string]reply{
		"no answer":   silence,
		"no end":      {status: http.StatusOK, body: success, endless: true},
		"slow answer": succeeded.afterTime(5*time.Second + 1),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.service.will(reply)
				began := time.Now()
				checkOutcome(t, s.ask(token), evidence.TimedOut)
				checkTook(t, began, s.Timeout, s.Timeout)
				s.checkAsked(t, 1)
				if n := s.service.underway[token]; n != 0 {
					t.Errorf("%d calls go on after their deadline", n)
				}
				s.checkLog(t, zap.WarnLevel)
			})
		})
	}
}

// A panic is one answer to all who wait. It holds nothing back: not the token, not the place among the calls, not the breaker's
// probe, and not the process.
func TestPanics(t *testing.T) {
	for name, cause := range map[string]any{
		"text":    token + secret,
		"error":   errors.New(token + secret),
		"abort":   http.ErrAbortHandler,
		"runtime": runtime.Error(new(runtime.TypeAssertionError)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t, func(c *Config) { c.MaxInflight = 1 })
				crash := reply{panics: cause, after: time.Millisecond}
				for _, state := range []circuitbreaker.State{circuitbreaker.ClosedState, circuitbreaker.HalfOpenState} {
					if state == circuitbreaker.HalfOpenState {
						s.breaker.Open()
						time.Sleep(probeAfter)
					}
					s.service.will(crash)
					if got := herd(crowd, func(int) *evidence.Evidence { return s.ask(token) }); got[evidence.Crashed] != crowd {
						t.Errorf("%s: got %v, want %d crashes", state, got, crowd)
					}
					s.checkAsked(t, 1)
					if lines := s.logs.All(); len(lines) == 1 && !strings.Contains(fmt.Sprint(lines[0].ContextMap()["stack"]), "RoundTrip") {
						t.Errorf("%s: the log does not say where it happened: %v", state, lines[0].ContextMap())
					}
					s.checkLog(t, zap.ErrorLevel)

					s.service.will(failed)
					checkOutcome(t, s.ask(token), evidence.Answered)
					s.checkAsked(t, 1)
					if s.breaker.State() != circuitbreaker.ClosedState {
						t.Errorf("%s: the breaker is %s", state, s.breaker.State())
					}
					time.Sleep(s.FailureTTL)
				}
			})
		})
	}
}

// Panics are not the service's failures, and don't make it count as down.
func TestPanicsAreNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(reply{panics: "x"})
		for range 2 * breakAfter {
			checkOutcome(t, s.ask(token), evidence.Crashed)
		}
		s.checkAsked(t, 2*breakAfter)
	})
}

// What goes wrong around the call is a crash, too, and not that of the process.
func TestPanicOutsideTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faulty atomic.Bool
		s := newSubject(t, func(c *Config) {
			c.Now = func() time.Time {
				if faulty.Load() {
					panic(token + secret)
				}
				return time.Now()
			}
		})
		faulty.Store(true)
		checkOutcome(t, s.ask(token), evidence.Crashed)
		s.checkLog(t, zap.ErrorLevel)
		faulty.Store(false)
		checkOutcome(t, s.ask(token), evidence.Answered)
	})
}
