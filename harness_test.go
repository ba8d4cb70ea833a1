package caddybws

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/assertion"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alice = bws.BCID{Storage: "bioid", Partition: 9876, Class: 12345}
	bob   = bws.BCID{Storage: "bioid", Partition: 9876, Class: 12346}
)

// site is a service for gates to ask, with the emulator in the same process and a clock that moves only by hand.
type site struct {
	*bwstest.Service
	service *Service
	clock   *ledgertest.Clock
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{clock: ledgertest.NewClock()}
	s.Service = bwstest.New(bwstest.Config{Now: s.clock.Now})
	s.service = newService(t, inProcess{s.Service}, s.clock.Now)
	return s
}

// pass lets time pass, or sets the clock back.
func (s *site) pass(d time.Duration) { s.clock.Advance(d) }

// sync has the node look at its storage, as it does every few seconds.
func (s *site) sync(t testing.TB) {
	t.Helper()
	if err := s.service.ledger.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// newService is a service as the app provisions it, but for the way to BWS, the clock, and whatever is edited.
func newService(
	t testing.TB, transport http.RoundTripper, now func() time.Time, edits ...func(*verifier.Config),
) *Service {
	t.Helper()
	client, err := bws.NewClient(bws.Config{AppID: bwstest.AppID, AppSecret: bwstest.AppSecret, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	config := verifier.Config{
		Client: client, Timeout: defaultTimeout, SuccessTTL: defaultCacheTTL, FailureTTL: defaultFailureTTL, Size: 1000,
		MaxInflight: defaultMaxInflight, ClientCalls: defaultRateCalls, ClientPer: defaultRatePer, Now: now,
	}
	for _, edit := range edits {
		edit(&config)
	}
	v := watched(config)
	t.Cleanup(v.Close)
	s := &Service{client: client, verifier: v, logger: zap.NewNop(), now: now, grace: defaultStorageGrace, repeats: newRepeats(now)}
	t.Cleanup(s.repeats.stop)
	s.setIdentity()
	s.useLedger(t, ledger.New(ledger.Config{Storage: new(ledgertest.Memory), ServiceID: s.identity, Now: now}))
	if err := s.ledger.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// useLedger has a service live by a ledger, as the app does.
func (s *Service) useLedger(t testing.TB, l *ledger.Ledger) {
	t.Helper()
	s.ledger, s.signer = l, assertion.NewSigner(l.Keys(ledger.Assertions), s.now)
	t.Cleanup(s.signer.Close)
}

// inProcess carries requests to a handler without a socket between.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Body = http.NoBody
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// gate is the gate as Caddy provisions it, asking the site's service.
func (s *site) gate(t testing.TB, g Gate) *Gate {
	t.Helper()
	return provision(t, g, s.service)
}

func provision(t testing.TB, g Gate, s *Service) *Gate {
	t.Helper()
	if err := g.check(); err != nil {
		t.Fatal(err)
	}
	g.service, g.events, g.logger, g.auditLog = s, s.events, zap.NewNop(), zap.NewNop()
	g.provisionPolicy()
	g.provisionSessions()
	g.provisionSources()
	g.provisionAssertions()
	if err := g.provisionLogin(); err != nil {
		t.Fatal(err)
	}
	if err := g.provisionIdentity(); err != nil {
		t.Fatal(err)
	}
	if err := g.provisionDenial(); err != nil {
		t.Fatal(err)
	}
	return &g
}

// token returns a token for a verification of Alice that has ended as it says.
func (s *site) token(o bwstest.Outcome) string {
	token := s.Token(bwstest.TokenSpec{BCID: alice})
	s.Perform(token, o)
	return token
}

// goodToken returns a token with which Alice has been verified.
func (s *site) goodToken() string { return s.token(bwstest.Outcome{Success: true}) }

// outcome is what came of a request.
type outcome struct {
	*httptest.ResponseRecorder
	err error
	// app is the request that reached the app behind the gates, nil if none did.
	app  *http.Request
	repl *caddy.Replacer
}

// send sends a request through handlers to an app, which says hello.
func send(t testing.TB, r *http.Request, handlers ...caddyhttp.MiddlewareHandler) *outcome {
	t.Helper()
	o := &outcome{ResponseRecorder: httptest.NewRecorder(), repl: caddy.NewReplacer()}
	next := caddyhttp.Handler(caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		o.app = r
		_, err := io.WriteString(w, "hello")
		return err
	}))
	for _, handler := range slices.Backward(handlers) {
		behind := next
		next = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return handler.ServeHTTP(w, r, behind) })
	}
	o.err = next.ServeHTTP(o, caddyhttp.PrepareRequest(r, o.repl, o, new(caddyhttp.Server)))
	return o
}

// get is a GET request with headers given as "Name: value".
func get(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://app.example/page", nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// handlerFunc is a handler between gates, or behind them.
type handlerFunc func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error

func (h handlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return h(w, r, next)
}

// checkPlaceholders compares what placeholders stand for after a request.
func (o *outcome) checkPlaceholders(t testing.TB, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := o.repl.ReplaceAll("{"+name+"}", ""); got != value {
			t.Errorf("{%s} is %q, want %q", name, got, value)
		}
	}
}

// checkDenied checks that a request was denied for a reason and did not reach the app.
func (o *outcome) checkDenied(t testing.TB, status int, reason string) {
	t.Helper()
	if o.err != nil || o.Code != status || o.app != nil || !strings.Contains(o.Body.String(), `"reason":"`+reason+`"`) {
		t.Errorf("got %d %s, error %v, app reached: %v; want %d %s", o.Code, o.Body, o.err, o.app != nil, status, reason)
	}
}

// checkAllowed checks that a request reached the app.
func (o *outcome) checkAllowed(t testing.TB) {
	t.Helper()
	if o.err != nil || o.Code != http.StatusOK || o.app == nil {
		t.Fatalf("got %d %s, error %v; want an allow", o.Code, o.Body, o.err)
	}
}
