package verifier

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

var (
	noConnection = reply{err: errors.New("connection refused"), unconnected: true}
	reset        = reply{err: errors.New("connection reset")}
	stale        = reply{err: reset.err, reused: true}
	unavailable  = reply{status: http.StatusServiceUnavailable}
)

func TestRetry(t *testing.T) {
	for name, test := range map[string]struct {
		first  reply
		repeat bool
		want   evidence.Outcome // without another try
	}{
		"no connection":       {noConnection, true, evidence.Unavailable},
		"502":                 {reply{status: http.StatusBadGateway}, true, evidence.Unavailable},
		"503":                 {unavailable, true, evidence.Unavailable},
		"504":                 {reply{status: http.StatusGatewayTimeout}, true, evidence.Unavailable},
		"reset":               {reset, false, evidence.Unavailable},
		"reset, used before":  {stale, true, evidence.Unavailable},
		"500":                 {outage, false, evidence.Unavailable},
		"501":                 {reply{status: http.StatusNotImplemented}, false, evidence.Unavailable},
		"429":                 {reply{status: http.StatusTooManyRequests}, false, evidence.Unavailable},
		"204":                 {pending, false, evidence.Pending},
		"400":                 {rejected, false, evidence.Rejected},
		"401":                 {reply{status: http.StatusUnauthorized}, false, evidence.Misconfigured},
		"403":                 {reply{status: http.StatusForbidden}, false, evidence.Misconfigured},
		"404":                 {reply{status: http.StatusNotFound}, false, evidence.Invalid},
		"302":                 {reply{status: http.StatusFound}, false, evidence.Invalid},
		"silence":             {silence, false, evidence.TimedOut},
		"200, failed":         {failed, false, evidence.Answered},
		"200, not JSON":       {reply{status: http.StatusOK, body: "<html>"}, false, evidence.Invalid},
		"200, cut":            {reply{status: http.StatusOK, body: success, cut: true}, false, evidence.Unavailable},
		"200, without an end": {reply{status: http.StatusOK, body: success, endless: true}, false, evidence.TimedOut},
		"panic":               {reply{panics: "x"}, false, evidence.Crashed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.service.will(test.first, succeeded)
				began := time.Now()
				got := s.ask(token)
				if !test.repeat {
					checkOutcome(t, got, test.want)
					s.checkAsked(t, 1)
					return
				}
				checkOutcome(t, got, evidence.Answered)
				checkTook(t, began, minRetryDelay, maxRetryDelay)
				s.checkAsked(t, 2)
				s.checkLog(t, quiet)

				// Two tries are all there are.
				s = newSubject(t)
				s.service.will(test.first)
				checkOutcome(t, s.ask(token), test.want)
				s.checkAsked(t, 2)
				s.checkLog(t, zap.WarnLevel)
			})
		})
	}
}

// Delays differ, so that many who fail at once do not come back at once.
func TestRetriesAreScattered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		delays := make(map[time.Duration]bool)
		for i := range 20 {
			s.service.will(unavailable, succeeded)
			began := time.Now()
			s.ask(strconv.Itoa(i))
			delays[time.Since(began)] = true
		}
		if len(delays) < 10 {
			t.Errorf("20 tries were repeated after %d different delays", len(delays))
		}
	})
}

// Both tries and the time between them have one deadline together.
func TestDeadlineIncludesRetry(t *testing.T) {
	for name, test := range map[string]struct {
		first, second reply
		calls         int
		want          evidence.Outcome
	}{
		"the second is silent":       {unavailable.afterTime(4 * time.Second), silence, 2, evidence.TimedOut},
		"the second is slow":         {unavailable.afterTime(3 * time.Second), succeeded.afterTime(3 * time.Second), 2, evidence.TimedOut},
		"the second is in time":      {unavailable.afterTime(3 * time.Second), succeeded.afterTime(time.Second), 2, evidence.Answered},
		"there is no time for it":    {unavailable.afterTime(5*time.Second - 1), succeeded, 1, evidence.Unavailable},
		"nor when there's no socket": {noConnection.afterTime(5*time.Second - 1), succeeded, 1, evidence.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.service.will(test.first, test.second)
				began := time.Now()
				checkOutcome(t, s.ask(token), test.want)
				checkTook(t, began, 0, s.Timeout)
				s.checkAsked(t, test.calls)
			})
		})
	}
}

// checkState checks whether the service counts as down.
func (s *subject) checkState(t *testing.T, want circuitbreaker.State) {
	t.Helper()
	if got := s.breaker.State(); got != want {
		t.Errorf("the breaker is %s, want %s", got, want)
	}
}

// checkDown checks that questions are answered at once, silently, and without a call.
func (s *subject) checkDown(t *testing.T) {
	t.Helper()
	began := time.Now()
	if got := herd(crowd, func(i int) *evidence.Evidence { return s.ask("new " + strconv.Itoa(i)) }); got[evidence.Unavailable]+got[evidence.Busy] != crowd {
		t.Errorf("while the service is down: %v", got)
	}
	checkTook(t, began, 0, 0)
	s.checkAsked(t, 0)
	s.checkLog(t, quiet)
}

func TestBreakerOpens(t *testing.T) {
	for name, fault := range map[string]reply{
		"500":           outage,
		"503":           unavailable,
		"no connection": noConnection,
		"reset":         reset,
		"silence":       silence,
		"cut":           {status: http.StatusOK, body: success, cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.service.will(fault, fault, fault, fault, pending, fault)
				tries := 0
				for i := 0; s.breaker.IsClosed() && i < 100; i++ {
					s.ask(token)
					tries += s.service.asked()
				}
				// Four in a row are not enough.
				if want := breakAfter - 1 + 1 + breakAfter; tries != want {
					t.Errorf("it took %d tries, want %d", tries, want)
				}
				s.logs.TakeAll()
				s.checkDown(t)

				time.Sleep(probeAfter - 1)
				s.checkDown(t)
				time.Sleep(time.Nanosecond)
				s.service.will(succeeded)
				checkOutcome(t, s.ask(token), evidence.Answered)
				s.checkAsked(t, 1)
				s.checkState(t, circuitbreaker.ClosedState)
			})
		})
	}
	if probeAfter > 10*time.Second {
		t.Errorf("a service that is back is noticed after %s, want 10s at most", probeAfter)
	}
}

// The service is there if it answers, and what clients can provoke never keeps it from others.
func TestBreakerStaysClosed(t *testing.T) {
	for name, answer := range map[string]reply{
		"success": succeeded,
		"failure": failed,
		"204":     pending,
		"302":     {status: http.StatusFound},
		"400":     rejected,
		"401":     {status: http.StatusUnauthorized},
		"403":     {status: http.StatusForbidden},
		"404":     {status: http.StatusNotFound},
		"429":     {status: http.StatusTooManyRequests},
		"invalid": {status: http.StatusOK, body: "<html>"},
		"panic":   {panics: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.service.will(answer)
				for i := range 4 * breakAfter {
					s.ask(strconv.Itoa(i))
				}
				s.checkAsked(t, 4*breakAfter)
				s.checkState(t, circuitbreaker.ClosedState)
			})
		})
	}
}

// Every fault that the service was asked for is in the log, also the one that makes it count as down.
func TestOutagesAreLogged(t *testing.T) {
	for name, fault := range map[string]reply{"503": unavailable, "no connection": noConnection, "silence": silence, "500": outage} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.service.will(fault)
				for i := range 20 {
					s.ask(strconv.Itoa(i))
					if s.service.asked() > 0 {
						s.checkLog(t, zap.WarnLevel)
					} else {
						s.checkLog(t, quiet)
						time.Sleep(probeAfter)
					}
				}
			})
		})
	}
}
