package caddybws

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// concluded is a request of which a gate has decided that it is allowed.
func (s *site) concluded(t testing.TB, g *Gate) *inquiry {
	t.Helper()
	q := &inquiry{Request: get(), visit: new(visit), now: s.clock.Now(), demands: g.policy}
	token := s.goodToken()
	decision := g.judgeEvidence(q, token, nil, false)
	if !decision.Allow {
		t.Fatal(decision.Reason)
	}
	q.visit.conclude(decision, q.evidence(), s.clock.Now())
	return q
}

// BenchmarkObserve is what metrics, events and traces cost of each request whose decision nobody listens to and nobody traces,
// from one core and from all.
func BenchmarkObserve(b *testing.B) {
	s := newSite(b)
	g := s.gate(b, Gate{})
	observe := func(q *inquiry) {
		q.endVerification(q.beginVerification())
		g.count(q)
		g.emit(q)
	}
	b.Run("one", func(b *testing.B) {
		q := s.concluded(b, g)
		b.ReportAllocs()
		for b.Loop() {
			observe(q)
		}
	})
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			q := s.concluded(b, g)
			for pb.Next() {
				observe(q)
			}
		})
	})
}

// BenchmarkObservedInParallel are requests on all cores, to be compared with those of BenchmarkServeHTTP.
func BenchmarkObservedInParallel(b *testing.B) {
	s := newSite(b)
	g, header := s.gate(b, Gate{}), "Cookie: "+cookieOf(s.goodToken())
	app := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	server := new(caddyhttp.Server)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		template := ordinaryRequest(header)
		for pb.Next() {
			w, repl := &forgetful{http.Header{"Server": {"Caddy"}}}, caddy.NewReplacer()
			r := template.Clone(template.Context())
			if err := g.ServeHTTP(w, caddyhttp.PrepareRequest(r, repl, w, server), app); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkListened is what events add as long as somebody listens.
func BenchmarkListened(b *testing.B) {
	s := newSite(b)
	g := s.listened(b, Gate{}, func(app *caddyevents.App) { _ = app.On("bws.allowed", handlerOf(func(caddy.Event) {})) })
	q := s.concluded(b, g)
	b.ReportAllocs()
	for b.Loop() {
		g.emit(q)
	}
}

// What is observed of an allowed request is not allocated.
func TestObservingAllocatesNothing(t *testing.T) {
	s := newSite(t)
	s.service.events = newListened(t, `{}`, nil)
	s.service.events.start()
	g := s.gate(t, Gate{})
	q := s.concluded(t, g)
	if n := testing.AllocsPerRun(100, func() {
		q.endVerification(q.beginVerification())
		g.count(q)
		g.emit(q)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
