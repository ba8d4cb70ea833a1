package caddybws

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// allowedRequests are requests that gates allow, with and without a login.
func (s *site) allowedRequests(t testing.TB) map[string]struct {
	gate   Gate
	header string
} {
	t.Helper()
	header := []TokenSource{{Header: "X-BWS-Token"}}
	session := s.begin(t, s.gate(t, keeping)) + "; theme=dark"
	token := "X-BWS-Token: " + s.goodToken()
	return map[string]struct {
		gate   Gate
		header string
	}{
		"session":        {keeping, session},
		"session, login": {loginGate(withSession), session},
		"token":          {Gate{Token: header}, token},
		"token, login":   {loginGate(func(g *Gate) { g.Token = header }), token},
	}
}

// BenchmarkLogin is an allowed request through a gate with a login, and through one without.
func BenchmarkLogin(b *testing.B) {
	s := newSite(b)
	for name, bench := range s.allowedRequests(b) {
		b.Run(name, func(b *testing.B) { serve(b, s.gate(b, bench.gate), bench.header) })
	}
}

// A login adds nothing to allowed requests.
func TestLoginAllocates(t *testing.T) {
	s := newSite(t)
	app := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	allocations := make(map[string]float64)
	for name, request := range s.allowedRequests(t) {
		g, server, template := s.gate(t, request.gate), new(caddyhttp.Server), ordinaryRequest(request.header)
		send(t, template.Clone(t.Context()), g).checkAllowed(t)
		allocations[name] = testing.AllocsPerRun(100, func() {
			w, repl := &forgetful{http.Header{"Server": {"Caddy"}}}, caddy.NewReplacer()
			r := template.Clone(template.Context())
			if err := g.ServeHTTP(w, caddyhttp.PrepareRequest(r, repl, w, server), app); err != nil {
				t.Fatal(err)
			}
		})
	}
	for name, with := range allocations {
		without, isLogin := strings.CutSuffix(name, ", login")
		if isLogin && with > allocations[without] {
			t.Errorf("%s: %v allocations, without it %v", name, with, allocations[without])
		}
	}
}
