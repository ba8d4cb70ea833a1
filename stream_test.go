package caddybws

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

// Security case 28: a stream ends with the evidence that opened it, over each version of HTTP, and other responses go on.
func TestStreamsEnd(t *testing.T) {
	aged := Gate{MaxAge: caddy.Duration(3 * time.Second)} // of which up to one has passed: tokens know whole seconds
	for name, test := range map[string]struct {
		gate        Gate
		contentType string
		ends        bool
	}{
		"event stream":            {aged, "text/event-stream", true},
		"event stream, charset":   {aged, "Text/Event-Stream; charset=utf-8", true},
		"download":                {aged, "application/octet-stream", false},
		"event stream, reporting": {reporting(aged), "text/event-stream", false},
		"event stream, no limit":  {Gate{}, "text/event-stream", false},
	} {
		for _, version := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, HTTP/%d", name, version), func(t *testing.T) {
				t.Parallel()
				took := streamFor(t, test.gate, test.contentType, version)
				if ended := took < streamLength; ended != test.ends {
					t.Errorf("the stream lasted %s", took)
				}
			})
		}
	}
}

// streamLength is how long a stream lasts by itself.
const streamLength = 6 * time.Second

// streamFor returns how long the app could write to a client that reads.
func streamFor(t *testing.T, g Gate, contentType string, version int) time.Duration {
	service := bwstest.New(bwstest.Config{})
	gate := provision(t, g, newService(t, inProcess{service}, time.Now))
	lasted := make(chan time.Duration, 1)
	app := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		began := time.Now()
		defer func() { lasted <- time.Since(began) }()
		w.Header().Set("Content-Type", contentType)
		for time.Since(began) < streamLength {
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return nil
			case <-time.After(20 * time.Millisecond):
			}
		}
		return nil
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = gate.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)), app)
	}))
	server.EnableHTTP2 = version == 2
	server.StartTLS()
	t.Cleanup(server.Close)

	token := service.Token(bwstest.TokenSpec{BCID: alice})
	service.Perform(token, bwstest.Outcome{Success: true})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-BWS-Token", token)
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ProtoMajor != version {
		t.Fatalf("got %s over %s", response.Status, response.Proto)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return <-lasted
}

func TestReasonToEnd(t *testing.T) {
	const minute = time.Minute
	fresh := Gate{MaxAge: caddy.Duration(2 * minute)}
	freshInSession := Gate{MaxAge: caddy.Duration(2 * minute), Session: &Session{}}
	for name, test := range map[string]struct {
		gate      Gate
		inSession bool
		after     time.Duration
		revoke    bool
		want      policy.Reason
	}{
		"token":                     {Gate{}, false, bwstest.DefaultLifetime + policy.Skew - 1, false, ""},
		"token, ended":              {Gate{}, false, bwstest.DefaultLifetime + policy.Skew, false, policy.ExpiredToken},
		"token, too old":            {fresh, false, 2 * minute, false, policy.TooOld},
		"token, revoked":            {Gate{}, false, minute, true, policy.Revoked},
		"token of a session":        {keeping, false, 15*minute - 1, false, ""},
		"token of a session, ended": {keeping, false, 15 * minute, false, policy.SessionExpired},
		"session":                   {keeping, true, 15*minute - 1, false, ""},
		"session, ended":            {keeping, true, 15 * minute, false, policy.SessionExpired},
		"session, too old":          {freshInSession, true, 2 * minute, false, policy.TooOld},
		"session, revoked":          {keeping, true, minute, true, policy.Revoked},
		"session, idle":             {idling, true, 30 * minute, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			g := s.gate(t, test.gate)
			f := &foundEvidence{service: s.service, token: s.goodToken()}
			f.key = keyOf(f.token)
			f.evidence, _ = s.service.verify(t.Context(), caddyhttp.PrepareRequest(get(), caddy.NewReplacer(), nil, nil), f.token, f.key, false)
			if test.inSession {
				f.session = session.Begin(f.key, f.evidence, s.clock.Now())
			}
			end := g.goodUntil(f)
			if test.revoke {
				if err := s.service.ledger.Revoke(t.Context(), ledger.OfSession(f.id())); err != nil {
					t.Fatal(err)
				}
			}
			s.pass(test.after)
			s.sync(t)
			if got := g.reasonToEnd(f, end); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	s := newSite(t)
	g := s.gate(t, idling)
	f := &foundEvidence{service: s.service, evidence: &nothing, session: new(session.Session)}
	s.pass(defaultStorageGrace + 1)
	if got := g.reasonToEnd(f, s.clock.Now().Add(time.Hour)); got != policy.LedgerUnavailable {
		t.Errorf("while revocations are unknown: got %q", got)
	}
}
