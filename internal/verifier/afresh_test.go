package verifier

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

func (s *subject) askAfresh(token string) *evidence.Evidence {
	q := s.question(client, token)
	q.Afresh = true
	return s.Verify(context.Background(), q)
}

// Security case 45: a step-up route does not rely on what is remembered, and what it learns replaces that.
func TestAskedAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.ask(token)
		s.checkAsked(t, 1)
		s.service.will(failed)
		for range 2 {
			if e := s.askAfresh(token); e.Success || e.Source != evidence.FromService {
				t.Errorf("got %+v", *e)
			}
			s.checkAsked(t, 1)
		}
		if e := s.recall(token); e == nil || e.Success {
			t.Errorf("remembered is %+v", e)
		}
	})
}

// Whoever must have a fresh answer joins a call under way, and each other.
func TestAfreshTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t)
		s.service.will(succeeded.afterTime(time.Second))
		herd(crowd, func(i int) *evidence.Evidence {
			if i%2 == 0 {
				return s.ask(token)
			}
			e := s.askAfresh(token)
			if e.Source != evidence.FromService {
				t.Errorf("got %+v", *e)
			}
			return e
		})
		s.checkAsked(t, 1)
	})
}

func TestForget(t *testing.T) {
	s := newSubject(t)
	for name, forget := range map[string]func(){
		"one": func() { s.Forget(KeyOf(token)) },
		"all": s.ForgetAll,
	} {
		s.ask(token)
		forget()
		if e := s.recall(token); e != nil {
			t.Errorf("%s: remembered is %+v", name, *e)
		}
	}
}

func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t, func(c *Config) { c.FailureTTL = 0 })
		check := func(what string, want State) {
			t.Helper()
			s.known.cache.CleanUp()
			if got := s.State(); got != want {
				t.Errorf("%s: got %+v, want %+v", what, got, want)
			}
		}
		check("new", State{Breaker: "closed"})
		s.service.will(succeeded.afterTime(time.Second))
		go s.ask(token)
		synctest.Wait()
		check("while it asks", State{Breaker: "closed", Inflight: 1})
		time.Sleep(2 * time.Second)
		check("asked", State{Breaker: "closed", Remembered: 1})
		s.ForgetAll()
		s.service.will(reply{status: 401}, rejected, reply{status: 403}, pending, reply{status: 401}, succeeded)
		for _, refused := range []bool{true, false, true, false, true, false} {
			s.askAfresh(token)
			if got := s.State().Refused; got != refused {
				t.Errorf("refused: %v, want %v", got, refused)
			}
		}
		s.service.will(outage)
		for range breakAfter {
			s.askAfresh(token)
		}
		check("down", State{Breaker: "open", Remembered: 1})
	})
}
