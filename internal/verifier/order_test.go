package verifier

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// newToken is well-formed, with {"alg":"x"} and {"exp":2,"nbf":1}.
const newToken = "eyJhbGciOiJ4In0.eyJleHAiOjIsIm5iZiI6MX0.AAAA"

var delivered = reply{status: http.StatusOK, body: newToken}

func (s *subject) order(from netip.Addr) (string, evidence.Outcome) {
	return s.Order(context.Background(), &Order{
		TokenRequest: bws.TokenRequest{BCID: bws.BCID{Storage: "bioid", Partition: 9876, Class: 12345}, Task: bws.TaskLiveDetect | 3},
		Client:       from, Logger: s.logger,
	})
}

// checkOrder checks what comes of an order.
func (s *subject) checkOrder(t *testing.T, from netip.Addr, want evidence.Outcome) {
	t.Helper()
	got, outcome := s.order(from)
	if outcome != want || (got == newToken) != (want == evidence.None) || want != evidence.None && got != "" {
		t.Errorf("got %q, %d; want outcome %d", got, outcome, want)
	}
}

// Each row is what the service answers, what comes of the order, and how many calls that takes.
func TestOrder(t *testing.T) {
	quoting := errors.New("Get https://app:" + secret + "@bws.example/token")
	for name, test := range map[string]struct {
		reply reply
		want  evidence.Outcome
		calls int
		level zapcore.Level
	}{
		"a token":          {delivered, evidence.None, 1, quiet},
		"a token, quoted":  {reply{status: http.StatusOK, body: `"` + newToken + `"`}, evidence.None, 1, quiet},
		"204":              {reply{status: http.StatusNoContent}, evidence.Invalid, 1, zap.WarnLevel},
		"302":              {reply{status: http.StatusFound}, evidence.Invalid, 1, zap.WarnLevel},
		"400":              {rejected, evidence.Invalid, 1, zap.WarnLevel},
		"401":              {reply{status: http.StatusUnauthorized}, evidence.Misconfigured, 1, zap.ErrorLevel},
		"403":              {reply{status: http.StatusForbidden}, evidence.Misconfigured, 1, zap.ErrorLevel},
		"429":              {reply{status: http.StatusTooManyRequests}, evidence.Unavailable, 1, zap.WarnLevel},
		"500":              {outage, evidence.Unavailable, 1, zap.WarnLevel},
		"503":              {unavailable, evidence.Unavailable, 2, zap.WarnLevel},
		"no connection":    {noConnection, evidence.Unavailable, 2, zap.WarnLevel},
		"network":          {reply{err: quoting}, evidence.Unavailable, 1, zap.WarnLevel},
		"silence":          {silence, evidence.TimedOut, 1, zap.WarnLevel},
		"without an end":   {reply{status: http.StatusOK, body: newToken, endless: true}, evidence.TimedOut, 1, zap.WarnLevel},
		"cut":              {reply{status: http.StatusOK, body: newToken, cut: true}, evidence.Unavailable, 1, zap.WarnLevel},
		"a result instead": {succeeded, evidence.Invalid, 1, zap.WarnLevel},
		"nothing":          {reply{status: http.StatusOK}, evidence.Invalid, 1, zap.WarnLevel},
		"panic":            {reply{panics: secret}, evidence.Crashed, 1, zap.ErrorLevel},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.service.will(test.reply)
				began := time.Now()
				s.checkOrder(t, client, test.want)
				checkTook(t, began, 0, s.Timeout)
				s.checkAsked(t, test.calls)
				s.checkLog(t, test.level)
				if state := s.State(); state.Inflight != 0 || state.Refused != (test.want == evidence.Misconfigured) {
					t.Errorf("the state is %+v", state)
				}
				s.service.will(delivered)
				s.checkOrder(t, client, evidence.None)
				if s.State().Refused {
					t.Error("after a token, the credentials still count as refused")
				}
			})
		})
	}
}

// A request that makes no sense is our own mistake, and asks nobody.
func TestOrderOfNothing(t *testing.T) {
	s := newSubject(t)
	if got, outcome := s.Order(t.Context(), &Order{Client: client, Logger: s.logger}); got != "" || outcome != evidence.Invalid {
		t.Errorf("got %q, %d", got, outcome)
	}
	s.checkAsked(t, 0)
}

// A passing fault is passed over.
func TestOrderRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(unavailable, delivered)
		s.checkOrder(t, client, evidence.None)
		s.checkAsked(t, 2)
		s.checkLog(t, quiet)
	})
}

// Orders and questions about unknown tokens have one limit together, for each client.
func TestOrdersAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		s.service.will(delivered)
		s.checkOrder(t, client, evidence.None)
		s.checkOrder(t, client, evidence.None)
		s.service.will(succeeded)
		checkOutcome(t, s.ask(token), evidence.Answered)
		s.service.will(delivered)
		s.service.asked()
		s.checkOrder(t, client, evidence.RateLimited)
		checkOutcome(t, s.ask("another token"), evidence.RateLimited)
		s.checkAsked(t, 0)
		s.checkLog(t, quiet)
		s.checkOrder(t, stranger, evidence.None)
		time.Sleep(s.ClientPer / time.Duration(s.ClientCalls))
		s.checkOrder(t, client, evidence.None)
	})
}

// Orders take places of those that calls have in all.
func TestOrdersInAFullHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t, func(c *Config) { c.MaxInflight = 2 })
		s.service.will(delivered.afterTime(time.Second))
		go s.order(client)
		go s.ask(token)
		synctest.Wait()
		if n := s.State().Inflight; n != 2 {
			t.Errorf("%d calls are under way", n)
		}
		s.checkOrder(t, client, evidence.Busy)
		time.Sleep(time.Second)
		synctest.Wait()
		s.checkOrder(t, client, evidence.None)
		s.checkState(t, circuitbreaker.ClosedState)
	})
}

// A service that is down is left alone by orders too, and one order finds out that it is back.
func TestOrdersDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		s.service.will(outage)
		for i := range breakAfter {
			s.checkOrder(t, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), evidence.Unavailable)
		}
		s.checkAsked(t, breakAfter)
		s.checkState(t, circuitbreaker.OpenState)
		s.logs.TakeAll()
		// What is not asked is not counted.
		for range 10 {
			s.checkOrder(t, stranger, evidence.Unavailable)
		}
		s.checkAsked(t, 0)
		s.checkLog(t, quiet)
		time.Sleep(probeAfter)
		s.service.will(delivered)
		s.checkOrder(t, stranger, evidence.None)
		s.checkState(t, circuitbreaker.ClosedState)
	})
}

// An order has one deadline, retry included.
func TestOrderHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(unavailable.afterTime(s.Timeout-time.Second), silence)
		began := time.Now()
		s.checkOrder(t, client, evidence.TimedOut)
		checkTook(t, began, s.Timeout, s.Timeout)
		s.checkAsked(t, 2)
	})
}
