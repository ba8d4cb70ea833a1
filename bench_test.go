package caddybws

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// ordinaryRequest is what a browser sends, with 20 headers, none of them forged.
func ordinaryRequest(headers ...string) *http.Request {
	r := get(append([]string{
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Accept-Encoding: gzip, deflate, br, zstd",
		"Accept-Language: en-US,en;q=0.5",
		"Cache-Control: no-cache",
		"Connection: keep-alive",
		"Content-Type: application/json",
		"Dnt: 1",
		"If-None-Match: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"",
		"Origin: https://app.example",
		"Pragma: no-cache",
		"Priority: u=0, i",
		"Referer: https://app.example/start",
		"Sec-Fetch-Dest: document",
		"Sec-Fetch-Mode: navigate",
		"Sec-Fetch-Site: same-origin",
		"Sec-Fetch-User: ?1",
		"Sec-Gpc: 1",
		"Upgrade-Insecure-Requests: 1",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	}, headers...)...)
	if r.Header["Cookie"] == nil {
		r.Header.Set("Cookie", "theme=dark; lang=en; visits=17")
	}
	return r
}

// cookieOf is a line of cookies with a token among others.
func cookieOf(token string) string { return "theme=dark; bws_token=" + token + "; lang=en" }

// cookieJar is such a line with 2 KB of other cookies.
func cookieJar(token string) string {
	return cookieOf(token) + "; jar=" + strings.Repeat("x", 1000) + "; more=" + strings.Repeat("y", 1000)
}

func BenchmarkFindToken(b *testing.B) {
	sources := defaultSources(false)
	header := http.Header{"Cookie": {cookieOf(newSite(b).goodToken())}}
	lines := func(name string) []string { return header[name] }
	b.ReportAllocs()
	for b.Loop() {
		if _, reason := findToken(sources, lines); reason != "" {
			b.Fatal(reason)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	set := credentialsOf(defaultSources(false))
	line := cookieOf(newSite(b).goodToken())
	r := &http.Request{Header: http.Header{}}
	lines := make([]string, 1)
	b.ReportAllocs()
	for b.Loop() {
		lines[0] = line
		r.Header["Cookie"] = lines
		set.take(r, new(visit))
	}
}

func BenchmarkStrip(b *testing.B) {
	id, r := newTestIdentity(b, nil), ordinaryRequest()
	if len(r.Header) != 20 {
		b.Fatalf("the request has %d headers", len(r.Header))
	}
	b.ReportAllocs()
	for b.Loop() {
		id.strip(r)
	}
}

// BenchmarkVouch is what an assertion adds to a request that passes: one that is used again, or one that has to be signed.
func BenchmarkVouch(b *testing.B) {
	s := newSite(b)
	g, token := s.gate(b, vouching), s.goodToken()
	for name, step := range map[string]int32{"reused": 0, "signing": 1} {
		b.Run(name, func(b *testing.B) {
			var q inquiry
			watch := handlerFunc(func(_ http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
				repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
				q = inquiry{Request: r, visit: visitOf(r, repl), now: s.service.now(), demands: g.policy}
				return nil
			})
			send(b, ordinaryRequest("X-BWS-Token: "+token), watch)
			if d := g.judge(&q); !d.Allow {
				b.Fatal(d)
			}
			e := *q.found.evidence
			q.found.evidence = &e
			b.ReportAllocs()
			for b.Loop() {
				if d := g.vouch(&q, q.now); !d.Allow {
					b.Fatal(d)
				}
				e.BCID.Class += step
			}
		})
	}
}

// instant answers every question in no time.
type instant string

func (body instant) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(string(body))),
	}, nil
}

// forgetful is a response nobody looks at.
type forgetful struct{ header http.Header }

func (f *forgetful) Header() http.Header         { return f.header }
func (f *forgetful) Write(p []byte) (int, error) { return len(p), nil }
func (f *forgetful) WriteHeader(int)             {}

// serve measures a request on its way through a handler, from where Caddy's server has read it to where the app would be.
func serve(b *testing.B, through caddyhttp.MiddlewareHandler, header string) {
	b.Helper()
	app := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	server, template := new(caddyhttp.Server), ordinaryRequest(header)
	b.ReportAllocs()
	for b.Loop() {
		w, repl := &forgetful{http.Header{"Server": {"Caddy"}}}, caddy.NewReplacer()
		r := template.Clone(template.Context())
		if err := through.ServeHTTP(w, caddyhttp.PrepareRequest(r, repl, w, server), app); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareChain is what remains without a gate, to be subtracted from the others.
func BenchmarkBareChain(b *testing.B) {
	nothing := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		return next.ServeHTTP(w, r)
	})
	serve(b, nothing, "Cookie: "+cookieOf(newSite(b).goodToken()))
}

// BenchmarkServeHTTP is a gate whose service is remembered to have answered, except for the rows that say otherwise.
func BenchmarkServeHTTP(b *testing.B) {
	s := newSite(b)
	answer := instant(`{"Action":"verification","BCID":"bioid/9876/12345","Success":true}`)
	service := newService(b, answer, s.service.now)
	asking := newService(b, answer, s.service.now, func(c *verifier.Config) { c.SuccessTTL = 0 })
	bound := Gate{BCID: []string{"bioid/9876/{http.request.host.labels.0}", alice.String()}}
	for name, bench := range map[string]struct {
		gate    Gate
		service *Service
		header  string
	}{
		"allow":            {Gate{}, service, "Cookie: " + cookieOf(s.goodToken())},
		"allow, 2 KB jar":  {Gate{}, service, "Cookie: " + cookieJar(s.goodToken())},
		"allow, by header": {Gate{}, service, "X-BWS-Token: " + s.goodToken()},
		"allow, bound":     {bound, service, "Cookie: " + cookieOf(s.goodToken())},
		"allow, asking":    {Gate{}, asking, "Cookie: " + cookieOf(s.goodToken())},
		"allow, assertion": {vouching, service, "Cookie: " + cookieOf(s.goodToken())},
		"deny":             {Gate{Require: "challenge"}, service, "Cookie: " + cookieOf(s.goodToken())},
		"no token":         {Gate{}, service, "Cookie: " + cookieOf("")},
		"malformed":        {Gate{}, service, "Cookie: " + cookieOf(strings.Repeat("x", 400))},
	} {
		b.Run(name, func(b *testing.B) { serve(b, provision(b, bench.gate, bench.service), bench.header) })
	}
	keeping := Gate{Session: &Session{Idle: caddy.Duration(defaultLifetime)}}
	session := strings.TrimPrefix(s.begin(b, s.gate(b, keeping)), "Cookie: ")
	for name, jar := range map[string]string{"session": "theme=dark", "session, 2 KB jar": "jar=" + strings.Repeat("x", 2000)} {
		b.Run(name, func(b *testing.B) { serve(b, s.gate(b, keeping), "Cookie: "+session+"; "+jar) })
	}
}
