package verifier

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// witness writes down what it is told.
type witness struct {
	mu   sync.Mutex
	told []string
}

type try struct{}

func (w *witness) tell(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, what)
}

func (w *witness) Calling(ctx context.Context, api API) context.Context {
	return context.WithValue(ctx, try{}, api)
}

func (w *witness) Called(ctx context.Context, api API, outcome evidence.Outcome, took time.Duration) {
	if ctx.Value(try{}) != api {
		w.tell("another context")
	}
	w.tell(told(api, outcome, took))
}

func (w *witness) RateLimited() { w.tell("rate limited") }
func (w *witness) Down()        { w.tell("down") }
func (w *witness) Up()          { w.tell("up") }

// observed is a subject with its witness.
func observed(t *testing.T, edits ...func(*Config)) (*subject, *witness) {
	w := new(witness)
	return newSubject(t, append(edits, func(c *Config) { c.Observer = w })...), w
}

// check checks what has been told since it was called last.
func (w *witness) check(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.told, want) {
		t.Errorf("told %q, want %q", w.told, want)
	}
	w.told = nil
}

// told is what is told of a try.
func told(api API, outcome evidence.Outcome, took time.Duration) string {
	return string(api) + " " + strconv.Itoa(int(outcome)) + " " + took.String()
}

// Each try that is made is told of, and nothing that is answered from memory.
func TestTriesAreObserved(t *testing.T) {
	for name, test := range map[string]struct {
		reply reply
		want  evidence.Outcome
		tries int
	}{
		"success":       {succeeded, evidence.Answered, 1},
		"failure":       {failed, evidence.Answered, 1},
		"204":           {pending, evidence.Pending, 1},
		"400":           {rejected, evidence.Rejected, 1},
		"401":           {reply{status: http.StatusUnauthorized}, evidence.Misconfigured, 1},
		"500":           {outage, evidence.Unavailable, 1},
		"503":           {unavailable, evidence.Unavailable, 2},
		"no connection": {noConnection, evidence.Unavailable, 2},
		"302":           {reply{status: http.StatusFound}, evidence.Invalid, 1},
		"panic":         {reply{panics: "x"}, evidence.Crashed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, w := observed(t)
				s.service.will(test.reply.afterTime(time.Second))
				s.ask(token)
				w.check(t, slices.Repeat([]string{told(APIResult, test.want, time.Second)}, test.tries)...)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s, w := observed(t)
		s.service.will(silence)
		s.ask(token)
		w.check(t, told(APIResult, evidence.TimedOut, s.Timeout))
		s.service.will(delivered)
		s.order(client)
		w.check(t, told(APIToken, evidence.Answered, 0))
		s.service.will(succeeded.afterTime(time.Second))
		herd(10, func(int) *evidence.Evidence { return s.ask(token) })
		s.ask(token)
		w.check(t, told(APIResult, evidence.Answered, time.Second))
	})
}

// What is not asked is no try.
func TestRefusalsAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := observed(t, func(c *Config) { c.ClientCalls, c.ClientPer = 1, time.Hour })
		s.ask(token)
		w.check(t, told(APIResult, evidence.Answered, 0))
		s.ask("another token")
		s.order(client)
		w.check(t, "rate limited", "rate limited")
	})
}

// A service is down once, however often it is found to be so, and up once.
func TestOutagesAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := observed(t)
		s.service.will(outage)
		fault := told(APIResult, evidence.Unavailable, 0)
		for range breakAfter + 1 {
			s.ask(token)
		}
		w.check(t, fault, fault, fault, fault, fault, "down")
		for range 2 {
			time.Sleep(probeAfter)
			s.ask(token)
			w.check(t, fault)
		}
		time.Sleep(probeAfter)
		s.service.will(succeeded)
		s.ask(token)
		w.check(t, told(APIResult, evidence.Answered, 0), "up")
	})
}

// A question that goes on without who asked still has what came along with the request, such as its trace.
func TestQuestionsKeepTheirContext(t *testing.T) {
	type traced struct{}
	synctest.Test(t, func(t *testing.T) {
		s, w := observed(t)
		var seen any
		s.Observer = seeing{w, func(ctx context.Context) { seen = ctx.Value(traced{}) }}
		s.service.will(succeeded.afterTime(time.Second))
		ctx, leave := context.WithCancel(context.WithValue(t.Context(), traced{}, "trace"))
		go s.Verify(ctx, s.question(client, token))
		synctest.Wait()
		leave()
		time.Sleep(time.Second)
		synctest.Wait()
		w.check(t, told(APIResult, evidence.Answered, time.Second))
		if seen != "trace" {
			t.Errorf("the context has %v", seen)
		}
	})
}

// seeing looks at the context of a try.
type seeing struct {
	*witness
	look func(context.Context)
}

func (s seeing) Calling(ctx context.Context, api API) context.Context {
	s.look(ctx)
	return s.witness.Calling(ctx, api)
}
