package verifier

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// The service answers once; whoever asks again gets the same, and is told where it came from.
func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(succeeded.afterTime(time.Second))
		if s.recall(token) != nil {
			t.Error("there is evidence before anybody has asked")
		}
		got := s.ask(token)
		want := evidence.Evidence{
			Outcome:    evidence.Answered,
			Source:     evidence.FromService,
			Task:       s.claims.Task,
			NotBefore:  s.claims.NotBefore,
			Expires:    s.claims.Expires,
			Success:    true,
			Action:     bws.Verification,
			BCID:       bws.BCID{Storage: "bioid", Partition: 9876, Class: 12345},
			AnsweredAt: time.Now(),
		}
		want.Person = evidence.PersonOf(want.BCID)
		if *got != want {
			t.Errorf("got  %+v\nwant %+v", *got, want)
		}

		time.Sleep(time.Second)
		want.Source = evidence.FromCache
		for name, again := range map[string]*evidence.Evidence{"Recall": s.recall(token), "Verify": s.ask(token)} {
			if again == nil || *again != want {
				t.Errorf("%s: got  %+v\nwant %+v", name, again, want)
			}
		}
		if got.Source != evidence.FromService {
			t.Error("remembering has changed what the first request was given")
		}
		s.checkAsked(t, 1)
		s.checkLog(t, quiet)
	})
}

func TestFaults(t *testing.T) {
	// What net/http reports quotes the URL, and the service may quote what it was sent.
	quoting := errors.New("Get https://app:" + secret + "@bws.example/result?access_token=" + token)
	message := `{"Message":"` + token + " " + secret + `"}`
	answer := func(status int) reply { return reply{status: status, body: message} }

	for name, test := range map[string]struct {
		reply reply
		want  evidence.Outcome
		level zapcore.Level
	}{
		"204":                 {pending, evidence.Pending, quiet},
		"204 with a body":     {reply{status: http.StatusNoContent, body: success}, evidence.Pending, quiet},
		"400":                 {answer(http.StatusBadRequest), evidence.Rejected, quiet},
		"401":                 {answer(http.StatusUnauthorized), evidence.Misconfigured, zap.ErrorLevel},
		"403":                 {answer(http.StatusForbidden), evidence.Misconfigured, zap.ErrorLevel},
		"429":                 {answer(http.StatusTooManyRequests), evidence.Unavailable, zap.WarnLevel},
		"500":                 {answer(http.StatusInternalServerError), evidence.Unavailable, zap.WarnLevel},
		"503":                 {answer(http.StatusServiceUnavailable), evidence.Unavailable, zap.WarnLevel},
		"network":             {reply{err: quoting}, evidence.Unavailable, zap.WarnLevel},
		"no connection":       {reply{err: quoting, unconnected: true}, evidence.Unavailable, zap.WarnLevel},
		"silence":             {silence, evidence.TimedOut, zap.WarnLevel},
		"endless":             {reply{status: http.StatusOK, body: success, endless: true}, evidence.TimedOut, zap.WarnLevel},
		"cut":                 {reply{status: http.StatusOK, body: success, cut: true}, evidence.Unavailable, zap.WarnLevel},
		"redirect":            {answer(http.StatusFound), evidence.Invalid, zap.WarnLevel},
		"partial content":     {reply{status: http.StatusPartialContent, body: success}, evidence.Invalid, zap.WarnLevel},
		"404":                 {answer(http.StatusNotFound), evidence.Invalid, zap.WarnLevel},
		"not JSON":            {reply{status: http.StatusOK, body: token}, evidence.Invalid, zap.WarnLevel},
		"empty":               {reply{status: http.StatusOK}, evidence.Invalid, zap.WarnLevel},
		"two results":         {reply{status: http.StatusOK, body: success + success}, evidence.Invalid, zap.WarnLevel},
		"success and failure": {reply{status: http.StatusOK, body: `{"Success":true,"Success":false}`}, evidence.Invalid, zap.WarnLevel},
		"panic":               {reply{panics: quoting}, evidence.Crashed, zap.ErrorLevel},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubject(t)
				s.service.will(test.reply)
				got := s.ask(token)
				if want := evidence.OfClaims(test.want, &s.claims); *got != *want {
					t.Errorf("got  %+v\nwant %+v", *got, *want)
				}
				s.checkLog(t, test.level)
			})
		})
	}
}

// Whoever goes away before there is an answer gets none, at once, and that is no fault of the service.
func TestCallerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(succeeded.afterTime(time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		got := s.Verify(ctx, s.question(client, token))
		if want := evidence.OfClaims(evidence.Unavailable, &s.claims); *got != *want {
			t.Errorf("got  %+v\nwant %+v", *got, *want)
		}
		checkTook(t, began, time.Millisecond, time.Millisecond)
		time.Sleep(time.Second) // until the call is over
		s.checkLog(t, quiet)
	})
}

func TestRefusedCredentialsAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(reply{status: http.StatusUnauthorized})
		began := time.Now()
		for _, step := range []struct {
			at   time.Duration
			want zapcore.Level
		}{
			{0, zap.ErrorLevel},
			{1, quiet},
			{complaintInterval - 1, quiet},
			{complaintInterval, zap.ErrorLevel},
			{2*complaintInterval - 1, quiet},
			{time.Hour, zap.ErrorLevel},
		} {
			time.Sleep(time.Until(began.Add(step.at)))
			for range 3 {
				checkOutcome(t, s.ask(token), evidence.Misconfigured)
			}
			s.checkLog(t, step.want)
		}
	})
}

// A wall clock that is set back does not silence the complaint until it has caught up.
func TestRefusedCredentialsAreLoggedByAnyClock(t *testing.T) {
	m := newMachine()
	synctest.Test(t, func(t *testing.T) {
		m.start()
		s := newSubject(t, func(c *Config) { c.Now = m.now })
		s.service.will(reply{status: http.StatusUnauthorized})
		s.ask(token)
		s.checkLog(t, zap.ErrorLevel)
		m.setWall(-time.Hour)
		time.Sleep(complaintInterval - 1)
		s.ask(token)
		s.checkLog(t, quiet)
		time.Sleep(time.Nanosecond)
		s.ask(token)
		s.checkLog(t, zap.ErrorLevel)
	})
}

func TestManyRequestsComplainOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(reply{status: http.StatusForbidden})
		herd(32, func(i int) *evidence.Evidence { return s.ask(strconv.Itoa(i)) })
		s.checkAsked(t, 32)
		s.checkLog(t, zap.ErrorLevel)
	})
}

// Closing twice, or while a question is under way, harms nobody.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(succeeded.afterTime(time.Second))
		time.AfterFunc(time.Millisecond, s.Close)
		checkOutcome(t, s.ask(token), evidence.Answered)
	})
}
