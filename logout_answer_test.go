package caddybws

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

func overTLS(r *http.Request) *http.Request {
	r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	return r
}

// Another site's page, or link, or image, must not be able to log anybody out.
func TestLogoutIsOwnWish(t *testing.T) {
	const (
		head, put = http.MethodHead, http.MethodPut
		fetch     = "Sec-Fetch-Site: "
		here      = "http://app.example"
		done      = http.StatusNoContent
		refused   = http.StatusForbidden
		unknown   = http.StatusMethodNotAllowed
	)
	for name, test := range map[string]struct {
		request *http.Request
		want    int
	}{
		"post, same origin": {post(fetch + "same-origin"), done},
		"post, same site":   {post(fetch + "same-site"), done},
		"post, typed":       {post(fetch + "none"), done},
		"post, cross site":  {post(fetch + "cross-site"), refused},
		"get, same origin":  {get(fetch + "same-origin"), done},
		"get, same site":    {get(fetch + "same-site"), refused},
		"get, typed":        {get(fetch + "none"), refused},
		"get, cross site":   {get(fetch + "cross-site"), refused},
		"get, no value":     {get(fetch), refused},

		"what the browser says of the site counts":       {post(fetch+"cross-site", "Origin: "+here), refused},
		"what it says of the site counts for a get, too": {get(fetch+"same-origin", "Origin: http://evil.example"), done},

		"post, old browser":                {post(), done},
		"get, old browser":                 {get(), refused},
		"post, our origin":                 {post("Origin: " + here), done},
		"get, our origin":                  {get("Origin: " + here), done},
		"get, our page":                    {get("Referer: " + here + "/page?x=http://evil.example"), done},
		"get, spelled otherwise":           {get("Origin: HTTP://APP.Example"), done},
		"post, other host":                 {post("Origin: http://evil.example"), refused},
		"get, other host":                  {get("Referer: http://evil.example/app.example"), refused},
		"post, longer host":                {post("Origin: " + here + ".evil.example"), refused},
		"post, other scheme":               {post("Origin: https://app.example"), refused},
		"post, other port":                 {post("Origin: " + here + ":8080"), refused},
		"post, user info":                  {post("Origin: http://app.example@evil.example"), refused},
		"get, user info":                   {get("Referer: http://evil.example@app.example/"), refused},
		"post, null":                       {post("Origin: null"), refused},
		"get, null":                        {get("Origin: null"), refused},
		"post, garbage":                    {post("Origin: %zz"), refused},
		"post, no origin at all":           {post("Origin: "), refused},
		"post, path only":                  {post("Referer: /page"), refused},
		"the origin counts, not the page":  {post("Origin: http://evil.example", "Referer: "+here), refused},
		"post over TLS, our origin":        {overTLS(post("Origin: https://app.example")), done},
		"post over TLS, our host in plain": {overTLS(post("Origin: " + here)), refused},

		"head":               {method(head, fetch+"same-origin"), unknown},
		"put":                {method(put, fetch+"same-origin"), unknown},
		"options":            {method(http.MethodOptions, fetch+"same-origin"), unknown},
		"post in lower case": {method("post", fetch+"same-origin"), unknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			g := s.gate(t, keeping)
			cookie := s.begin(t, g)
			test.request.Header.Add("Cookie", strings.TrimPrefix(cookie, "Cookie: "))
			o := send(t, test.request, s.logout(t, Logout{}))
			if test.want == done {
				o.checkLoggedOut(t)
				return
			}
			failure, ok := errors.AsType[caddyhttp.HandlerError](o.err)
			if !ok || failure.StatusCode != test.want || o.app != nil {
				t.Errorf("got %d, error %v, app reached: %v; want %d", o.Code, o.err, o.app != nil, test.want)
			}
			allow := ""
			if test.want == unknown {
				allow = "GET, POST"
			}
			header := o.Header()
			if header.Get("Allow") != allow || header.Get("Cache-Control") != "no-store" || header.Get("Clear-Site-Data") != "" {
				t.Errorf("the client gets %q", header)
			}
			o.checkNotSet(t)
			s.checkRevocations(t, 0)
			send(t, get(cookie), g).checkAllowed(t)
		})
	}
}

func TestLogoutAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		handler  Logout
		request  *http.Request
		status   int
		location string
	}{
		"post":             {Logout{}, post(), 204, ""},
		"get":              {Logout{}, get("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate"), 204, ""},
		"redirect":         {Logout{Redirect: "/bye"}, post(), 303, "/bye"},
		"redirect, a page": {Logout{Redirect: "https://x.example/"}, get("Referer: http://app.example/"), 303, "https://x.example/"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			test.request.Header.Set("X-BWS-Token", s.goodToken())
			o := send(t, test.request, s.logout(t, test.handler))
			if o.err != nil || o.Code != test.status || o.Body.Len() > 0 || o.app != nil {
				t.Errorf("got %d %s, error %v, app reached: %v; want %d", o.Code, o.Body, o.err, o.app != nil, test.status)
			}
			for name, want := range map[string]string{
				"Location": test.location, "Cache-Control": "no-store", "Clear-Site-Data": `"cache"`,
			} {
				if got := o.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// Security case 57: a browser drops a cookie that is cleared just as it was set, and no other.
func TestLogoutClearsCookies(t *testing.T) {
	named := Gate{Session: &Session{Cookie: "s"}}
	for name, test := range map[string]struct {
		gate    Gate
		handler Logout
		secure  bool
		want    []string
	}{
		"plain":            {keeping, Logout{}, false, []string{"bws_session", "bws_token", "bws_login_token"}},
		"TLS":              {keeping, Logout{}, true, []string{"__Host-bws_session", "__Host-bws_token", "__Host-bws_login_token"}},
		"custom name":      {named, Logout{Cookie: "s"}, false, []string{"bws_token", "bws_login_token", "s"}},
		"custom name, TLS": {named, Logout{Cookie: "s"}, true, []string{"__Host-bws_token", "__Host-bws_login_token", "s"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			begin, end := get("X-BWS-Token: "+s.goodToken()), post()
			if test.secure {
				begin, end = overTLS(begin), overTLS(end)
			}
			set := send(t, begin, s.gate(t, test.gate)).cookies(t)
			if len(set) != 1 {
				t.Fatalf("the gate sets %v", set)
			}
			cleared := send(t, end, s.logout(t, test.handler)).cookies(t)
			if len(cleared) != len(test.want) {
				t.Errorf("cleared are %v", cleared)
			}
			for _, name := range test.want {
				got := cleared[name]
				if got == nil {
					t.Errorf("%s is not cleared", name)
					continue
				}
				for _, like := range set {
					if got.Value != "" || got.MaxAge >= 0 || got.Path != like.Path || got.Domain != like.Domain ||
						got.Secure != like.Secure || got.HttpOnly != like.HttpOnly || got.SameSite != like.SameSite {
						t.Errorf("cleared is %s, set was %s", got, like)
					}
				}
			}
		})
	}
}

func TestLogoutShowsAPageToABrowser(t *testing.T) {
	const ours, navigates, script = "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: cors"
	for name, test := range map[string]struct {
		request *http.Request
		want    string
	}{
		"navigation":  {get(ours, navigates), "text/html; charset=utf-8"},
		"old browser": {get("Referer: http://app.example/", "Accept: text/html"), "text/html; charset=utf-8"},
		"script":      {get(ours, script), "application/problem+json"},
		"post":        {post(ours, script), "application/problem+json"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			cookie := s.begin(t, s.gate(t, keeping))
			s.faulty.Set(ledgertest.Failing())
			test.request.Header.Add("Cookie", strings.TrimPrefix(cookie, "Cookie: "))
			o := send(t, test.request, s.logout(t, Logout{}))
			if o.err != nil || o.Code != http.StatusServiceUnavailable || o.Header().Get("Content-Type") != test.want {
				t.Errorf("got %d %q, error %v", o.Code, o.Header(), o.err)
			}
			if !strings.Contains(o.Body.String(), "ledger_unavailable") || len(o.cookies(t)) != 3 {
				t.Errorf("got %q %s", o.Header(), o.Body)
			}
		})
	}
}

// A reason is answered as everywhere else: these say when to come again.
func TestLogoutSaysWhenToTryAgain(t *testing.T) {
	s := newSite(t)
	s.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	o := send(t, post("X-BWS-Token: "+s.goodToken()), s.logout(t, Logout{}))
	o.checkDenied(t, http.StatusServiceUnavailable, "service_unavailable")
	if o.Header().Get("Retry-After") == "" {
		t.Errorf("the client gets %q", o.Header())
	}
}

func TestLogoutLog(t *testing.T) {
	s := newStoredSite(t)
	g := s.gate(t, keeping)
	l := s.logout(t, Logout{})
	core, logs := observer.New(zap.DebugLevel)
	l.logger = zap.New(core)
	var secrets []string
	request := func(method string) *http.Request {
		token := s.goodToken()
		cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
		id := session.IDOf(keyOf(token))
		secrets = append(secrets, token, strings.TrimPrefix(cookie, "Cookie: bws_session="), hex.EncodeToString(id[:]))
		r := post(cookie, "X-BWS-Token: "+token)
		r.Method = method
		return r
	}
	send(t, request(http.MethodPost), l).checkLoggedOut(t)
	s.faulty.Set(ledgertest.Failing())
	send(t, request(http.MethodPost), l).checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
	if o := send(t, request(http.MethodPut), l); slices.ContainsFunc(secrets, func(secret string) bool {
		return strings.Contains(o.err.Error(), secret)
	}) {
		t.Errorf("the error says %v", o.err)
	}

	lines := logs.All()
	var said []string
	for _, line := range logs.FilterMessage("logged out").All() {
		said = append(said, fmt.Sprint(line.Level, " ", line.ContextMap()["service"], " ", line.ContextMap()["reason"]))
	}
	if want := []string{"info default ", "info default ledger_unavailable"}; !slices.Equal(said, want) {
		t.Errorf("the log says %q, want %q", said, want)
	}
	if logs.FilterLevelExact(zap.WarnLevel).Len() != 1 {
		t.Errorf("the log says %+v, want one warning", lines)
	}
	checkLogKeeps(t, lines, append(secrets, bwstest.AppSecret, alice.String()))
}

// checkLogKeeps checks that no line shows a secret.
func checkLogKeeps(t testing.TB, lines []observer.LoggedEntry, secrets []string) {
	t.Helper()
	for _, line := range lines {
		text, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(line.Entry, line.Context)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if strings.Contains(text.String(), secret) {
				t.Errorf("the log says %s", text)
			}
		}
	}
}

func TestLogoutCheck(t *testing.T) {
	for name, test := range map[string]struct {
		handler Logout
		want    string // in the error, "" if there is none
	}{
		"nothing":             {Logout{}, ""},
		"everything":          {Logout{Service: "a-1", Redirect: "https://x.example/bye", Cookie: "s"}, ""},
		"path":                {Logout{Redirect: "/bye"}, ""},
		"placeholder":         {Logout{Redirect: "{env.BYE}"}, ""},
		"odd service":         {Logout{Service: "a b"}, "service name"},
		"odd cookie":          {Logout{Cookie: "a b"}, "cookie"},
		"cookie with a value": {Logout{Cookie: "a=b"}, "cookie"},
		"other scheme":        {Logout{Redirect: "javascript:alert(1)"}, "redirect"},
		"another host":        {Logout{Redirect: "//evil.example"}, "redirect"},
		"relative path":       {Logout{Redirect: "bye"}, "redirect"},
	} {
		err := test.handler.check()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
