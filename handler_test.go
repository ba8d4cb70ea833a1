package caddybws

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func TestAllow(t *testing.T) {
	s := newSite(t)
	token := s.goodToken()
	s.pass(time.Minute)
	r := get("Cookie: a=1; bws_token="+token+"; b=2", "X-BWS-Token: "+token, "X_BWS_BCID: admin", "X-Other: x")
	o := send(t, r, s.gate(t, Gate{}))
	o.checkAllowed(t)

	for name, want := range map[string]string{
		"Cookie":            "a=1; b=2",
		"X-Other":           "x",
		"X-Bws-Token":       "",
		"X-Bws-Bcid":        "bioid/9876/12345",
		"X-Bws-Action":      "verification",
		"X-Bws-Score":       "",
		"X-Bws-Verified-At": "2026-03-01T12:01:00Z",
		"X_bws_bcid":        "",
	} {
		if got := strings.Join(o.app.Header[name], "|"); got != want {
			t.Errorf("the app gets %s: %q, want %q", name, got, want)
		}
	}
	header := o.Header()
	if header.Get("Cache-Control") != "private" || header.Get("Vary") != "Cookie, X-Bws-Token" || o.Body.String() != "hello" {
		t.Errorf("the client gets %q, %q", header, o.Body)
	}
	o.checkPlaceholders(t, map[string]string{
		"http.bws.decision": "allow", "http.bws.reason": "", "http.bws.bcid": "bioid/9876/12345", "http.bws.action": "verification",
		"http.bws.age": "60", "http.bws.evidence": "service", "http.auth.user.id": "bioid/9876/12345",
	})
	if calls := s.Calls("/result"); calls != 1 {
		t.Errorf("BWS was asked %d times", calls)
	}
}

func TestTokenSources(t *testing.T) {
	s := newSite(t)
	token := s.goodToken()
	bearer := []TokenSource{{Bearer: true}, {Header: "X-Face"}}
	for name, test := range map[string]struct {
		sources []TokenSource
		secure  bool
		header  string
		want    bool
	}{
		"cookie":                         {nil, false, "Cookie: bws_token=" + token, true},
		"header":                         {nil, false, "X-Bws-Token: " + token, true},
		"cookie over TLS":                {nil, true, "Cookie: __Host-bws_token=" + token, true},
		"header over TLS":                {nil, true, "X-BWS-Token: " + token, true},
		"secure cookie without TLS":      {nil, false, "Cookie: __Host-bws_token=" + token, false},
		"security case 117: over TLS":    {nil, true, "Cookie: bws_token=" + token, false},
		"bearer":                         {bearer, false, "Authorization: Bearer " + token, true},
		"header of another name":         {bearer, true, "X-Face: " + token, true},
		"default cookie, not configured": {bearer, false, "Cookie: bws_token=" + token, false},
		"default header, not configured": {bearer, false, "X-BWS-Token: " + token, false},
		"bearer, not configured":         {nil, false, "Authorization: Bearer " + token, false},
		"security case 39: query":        {nil, false, "Referer: http://app.example/?access_token=" + token, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := get(test.header)
			r.URL.RawQuery = "access_token=" + token
			if test.secure {
				r.TLS = new(tls.ConnectionState)
			}
			o := send(t, r, s.gate(t, Gate{Token: test.sources}))
			if !test.want {
				o.checkDenied(t, http.StatusUnauthorized, "no_token")
				return
			}
			o.checkAllowed(t)
			for name, lines := range o.app.Header {
				if strings.Contains(strings.Join(lines, "\n"), token) {
					t.Errorf("the token reaches the app in %s", name)
				}
			}
		})
	}
}

func TestIsSecure(t *testing.T) {
	for name, test := range map[string]struct {
		tls, trusted bool
		proto        []string
		want         bool
	}{
		"plain":                      {false, false, nil, false},
		"TLS":                        {true, false, []string{"http"}, true},
		"security case 99: anybody":  {false, false, []string{"https"}, false},
		"a trusted proxy":            {false, true, []string{"HTTPS"}, true},
		"a trusted proxy, plain":     {false, true, []string{"http"}, false},
		"a trusted proxy, silent":    {false, true, nil, false},
		"a trusted proxy, two words": {false, true, []string{"https, http"}, false},
		"a trusted proxy, two lines": {false, true, []string{"https", "http"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := get()
			r.Header["X-Forwarded-Proto"] = test.proto
			if test.tls {
				r.TLS = new(tls.ConnectionState)
			}
			look := handlerFunc(func(_ http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
				caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, test.trusted)
				if got := isSecure(r); got != test.want {
					t.Errorf("got %v, want %v", got, test.want)
				}
				return nil
			})
			send(t, r, look)
		})
	}
}

func TestDenyModes(t *testing.T) {
	s := newSite(t)
	const browser = "Sec-Fetch-Mode: navigate"
	respond, redirect := s.gate(t, Gate{}), s.gate(t, Gate{Deny: &Denial{Mode: denyRedirect, To: "/login"}})

	send(t, get(), respond).checkDenied(t, http.StatusUnauthorized, "no_token")
	o := send(t, get(browser), respond)
	if o.Code != http.StatusUnauthorized || !strings.Contains(o.Body.String(), "<code>no_token</code>") {
		t.Errorf("a browser gets %d %s", o.Code, o.Body)
	}
	send(t, get(), redirect).checkDenied(t, http.StatusUnauthorized, "no_token")
	if o = send(t, get(browser), redirect); o.Code != http.StatusSeeOther || o.Header().Get("Location") != "/login" || o.app != nil {
		t.Errorf("a browser gets %d, %q", o.Code, o.Header())
	}

	for _, headers := range [][]string{nil, {browser}} {
		o := send(t, get(headers...), s.gate(t, Gate{Deny: &Denial{Mode: denyError}}))
		failure, ok := errors.AsType[caddyhttp.HandlerError](o.err)
		if !ok || failure.StatusCode != http.StatusUnauthorized || failure.Err.Error() != "bws: no_token" {
			t.Errorf("handle_errors gets %v", o.err)
		}
		if o.app != nil || o.Body.Len() > 0 {
			t.Errorf("the app is reached: %v; the client gets %s", o.app != nil, o.Body)
		}
		if o.Header().Get("WWW-Authenticate") == "" || o.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("handle_errors finds the header %q", o.Header())
		}
		o.checkPlaceholders(t, map[string]string{"http.bws.reason": "no_token", "http.bws.decision": "deny"})
	}
}

// unreadable is a body that must not be read before the app does.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

// security case 29: a body is the app's business alone.
func TestBodyIsNotRead(t *testing.T) {
	s := newSite(t)
	for _, header := range []string{"X-Other: x", "X-BWS-Token: " + s.goodToken()} {
		r := get(header)
		r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(unreadable{t}), 1<<30
		if o := send(t, r, s.gate(t, Gate{})); o.app != nil && (o.app.Body != r.Body || o.app.ContentLength != 1<<30) {
			t.Error("the app gets another body")
		}
	}
}

func TestReportOnly(t *testing.T) {
	s := newSite(t)
	const forged = "X-BWS-BCID: admin"
	denied := map[string]string{
		"http.bws.decision": "deny", "http.bws.reason": "not_recognized", "http.bws.bcid": "", "http.auth.user.id": "",
	}
	o := send(t, get("Cookie: a=1; bws_token="+s.token(bwstest.Outcome{}), forged), s.gate(t, Gate{ReportOnly: true}))
	o.checkAllowed(t)
	o.checkPlaceholders(t, denied)
	if len(o.app.Header) != 1 || o.app.Header.Get("Cookie") != "a=1" {
		t.Errorf("the app gets %q", o.app.Header)
	}
	if o.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("the client gets %q", o.Header())
	}

	o = send(t, get("X-BWS-Token: "+s.goodToken(), forged), s.gate(t, Gate{ReportOnly: true}))
	o.checkAllowed(t)
	if got := o.app.Header["X-Bws-Bcid"]; !slices.Equal(got, []string{alice.String()}) {
		t.Errorf("an allowed request names %q", got)
	}
}

func TestWhatNextDoesPassesThrough(t *testing.T) {
	s := newSite(t)
	gate, fault := s.gate(t, Gate{}), errors.New("the app is down")
	r := func() *http.Request { return get("X-BWS-Token: " + s.goodToken()) }
	failing := handlerFunc(func(http.ResponseWriter, *http.Request, caddyhttp.Handler) error { return fault })
	if o := send(t, r(), gate, failing); o.err != fault {
		t.Errorf("got %v, want %v", o.err, fault)
	}
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got the panic %v", got)
		}
	}()
	send(t, r(), gate, handlerFunc(func(http.ResponseWriter, *http.Request, caddyhttp.Handler) error { panic(http.ErrAbortHandler) }))
}

func TestGateLog(t *testing.T) {
	s := newSite(t)
	token := s.goodToken()
	for _, test := range []struct {
		gate    Gate
		token   string
		level   zapcore.Level
		message string
		reason  string
	}{
		{Gate{}, token, zap.DebugLevel, "allowed", ""},
		{Gate{Allow: []bws.Action{bws.Enrollment}}, token, zap.InfoLevel, "denied", "action_not_allowed"},
		{Gate{Allow: []bws.Action{bws.Enrollment}, ReportOnly: true}, token, zap.InfoLevel, "would be denied", "action_not_allowed"},
		{Gate{}, "nonsense." + token, zap.InfoLevel, "denied", "malformed_token"},
	} {
		gate := s.gate(t, test.gate)
		core, logs := observer.New(zap.DebugLevel)
		gate.logger = zap.New(core)
		send(t, get("X-BWS-Token: "+test.token), gate)
		lines := logs.All()
		if len(lines) != 1 || lines[0].Level != test.level || lines[0].Message != test.message {
			t.Errorf("got %+v, want %q", lines, test.message)
			continue
		}
		if reason := lines[0].ContextMap()["reason"]; reason != test.reason {
			t.Errorf("%q with the reason %q, want %q", test.message, reason, test.reason)
		}
		text, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(lines[0].Entry, lines[0].Context)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{test.token, bwstest.AppSecret, alice.String()} {
			if strings.Contains(text.String(), secret) {
				t.Errorf("the log says %s", text)
			}
		}
	}
}
