package caddybws

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

func TestIsNavigation(t *testing.T) {
	const html = "Accept: text/html"
	for name, test := range map[string]struct {
		method  string
		headers []string
		want    bool
	}{
		"nothing said":                  {http.MethodGet, nil, false},
		"a browser navigates":           {http.MethodGet, []string{"Sec-Fetch-Mode: navigate", html}, true},
		"a browser navigates by HEAD":   {http.MethodHead, []string{"Sec-Fetch-Mode: navigate"}, true},
		"a form is sent":                {http.MethodPost, []string{"Sec-Fetch-Mode: navigate", html}, false},
		"security case 71: fetch":       {http.MethodGet, []string{"Sec-Fetch-Mode: cors", html}, false},
		"security case 71: websocket":   {http.MethodGet, []string{"Sec-Fetch-Mode: websocket"}, false},
		"security case 71: EventSource": {http.MethodGet, []string{"Accept: text/event-stream"}, false},
		"an old browser":                {http.MethodGet, []string{"Accept: text/html,application/xml;q=0.9,*/*;q=0.8"}, true},
		"an old browser by HEAD":        {http.MethodHead, []string{html}, true},
		"an old browser posts":          {http.MethodPost, []string{html}, false},
		"options":                       {http.MethodOptions, []string{html}, false},
		"anything accepted":             {http.MethodGet, []string{"Accept: */*"}, false},
		"any text accepted":             {http.MethodGet, []string{"Accept: text/*"}, false},
		"JSON":                          {http.MethodGet, []string{"Accept: application/json"}, false},
		"HTML last":                     {http.MethodGet, []string{"Accept: application/json, text/html;q=0.1"}, true},
		"HTML in a second line":         {http.MethodGet, []string{"Accept: application/json", html}, true},
		"HTML refused":                  {http.MethodGet, []string{"Accept: application/json, text/html;q=0"}, false},
		"HTML as a prefix":              {http.MethodGet, []string{"Accept: text/htmlx, text/html/x, xtext/html"}, false},
		"an empty mode":                 {http.MethodGet, []string{"Sec-Fetch-Mode: ", html}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := get(test.headers...)
			r.Method = test.method
			if got := isNavigation(r); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func FuzzIsNavigation(f *testing.F) {
	f.Add("text/html;q=0.5, */*", "navigate")
	f.Add("text/html;q;=,,/;q=NaN", "")
	f.Fuzz(func(t *testing.T, accept, mode string) {
		r := &http.Request{Method: http.MethodGet, Header: http.Header{"Accept": {accept}}}
		if isNavigation(r) && !strings.Contains(accept, "html") {
			t.Fatalf("%q asks for a page", accept)
		}
		r.Header["Sec-Fetch-Mode"] = []string{mode}
		if isNavigation(r) != (mode == "navigate") {
			t.Fatalf("the mode %q does not decide", mode)
		}
	})
}

func TestRealm(t *testing.T) {
	for host, want := range map[string]string{
		"app.example":       "app.example",
		"app.example:8443":  "app.example",
		"[2001:db8::1]:443": "2001:db8::1",
		"":                  "",
		`a"b\c`:             "abc",
		"a\r\nb\x7fc":       "abc",
		"bücher.example":    "bcher.example",
	} {
		if got := realm(&http.Request{Host: host}); got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}

func TestDenialHeaders(t *testing.T) {
	for _, test := range []struct {
		reason     policy.Reason
		challenge  string
		retryAfter string
	}{
		{policy.NoToken, `BWS realm="app.example", error="no_token"`, ""},
		{policy.Pending, `BWS realm="app.example", error="pending"`, "2"},
		{policy.TooOld, `BWS realm="app.example", error="too_old", max_age="120"`, ""},
		{policy.AmbiguousToken, "", ""},
		{policy.NotRecognized, "", ""},
		{policy.ServiceUnavailable, "", "10"},
	} {
		g := &Gate{MaxAge: caddy.Duration(2 * time.Minute)}
		header := http.Header{"Cache-Control": {"private"}}
		told := refusalFor(test.reason)
		told.maxAge = g.maxAge(test.reason)
		told.setHeaders(header, get())
		got := []string{header.Get("Cache-Control"), header.Get("WWW-Authenticate"), header.Get("Retry-After")}
		if want := []string{"no-store", test.challenge, test.retryAfter}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", test.reason, got, want)
		}
	}
	// A first factor's challenge stays.
	header := http.Header{"Www-Authenticate": {`Basic realm="first"`}}
	refusalFor(policy.NoToken).setHeaders(header, get())
	if got := header["Www-Authenticate"]; len(got) != 2 || got[0] != `Basic realm="first"` {
		t.Errorf("got %q", got)
	}
}

func TestProvisionDenial(t *testing.T) {
	t.Setenv("BWS_TEST_SITE", "https://login.example")
	t.Setenv("BWS_TEST_SCRIPT", "javascript:alert(1)")
	for to, want := range map[string]string{
		"/login":                 "/login",
		"https://other.example":  "https://other.example",
		"{env.BWS_TEST_SITE}/in": "https://login.example/in",
		"{env.BWS_TEST_SCRIPT}":  "",
		"{env.BWS_TEST_NOTHING}": "",
		"{nobody.knows}":         "",
		"//evil.example":         "",
	} {
		g := &Gate{Deny: &Denial{Mode: denyRedirect, To: to}}
		if err := g.provisionDenial(); (err == nil) != (want != "") || err == nil && g.redirectTo != want {
			t.Errorf("%q: got %q, %v; want %q", to, g.redirectTo, err, want)
		}
	}
}

func TestRedirectOnlyNavigationsAndOnlyWhatTheClientCanMend(t *testing.T) {
	g := &Gate{redirectTo: "/login", logger: zap.NewNop(), auditLog: zap.NewNop()}
	for reason := range denials {
		for _, navigates := range []bool{true, false} {
			r := get()
			if navigates {
				r = get("Sec-Fetch-Mode: navigate")
			}
			w := httptest.NewRecorder()
			if err := g.deny(w, &inquiry{Request: r, visit: &visit{decision: policy.Deny(reason)}}); err != nil {
				t.Fatal(err)
			}
			mendable := denials[reason].status == http.StatusUnauthorized || denials[reason].status == http.StatusForbidden
			redirected := w.Code == http.StatusSeeOther && w.Header().Get("Location") == "/login" && w.Body.Len() == 0
			if redirected != (navigates && mendable) || !redirected && w.Code != denials[reason].status {
				t.Errorf("%s, navigates: %v: got %d to %q", reason, navigates, w.Code, w.Header().Get("Location"))
			}
		}
	}
}
