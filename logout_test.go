package caddybws

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

// logout is the handler as Caddy provisions it.
func (s *site) logout(t testing.TB, l Logout) *Logout {
	t.Helper()
	l.service, l.logger, l.redirectTo = s.service, zap.NewNop(), l.Redirect
	if err := l.check(); err != nil {
		t.Fatal(err)
	}
	return &l
}

// storedSite is a site whose storage can be looked into, and fails as told.
type storedSite struct {
	*site
	memory *ledgertest.Memory
	faulty *ledgertest.Faulty
}

func newStoredSite(t testing.TB) *storedSite {
	t.Helper()
	s := &storedSite{site: newSite(t), memory: new(ledgertest.Memory)}
	s.faulty = ledgertest.NewFaulty(s.memory)
	s.service.ledger = ledger.New(ledger.Config{Storage: s.faulty, ServiceID: s.service.identity, Now: s.service.now})
	s.sync(t)
	return s
}

// anotherNode is the service on another node with the same storage.
func (s *storedSite) anotherNode(t testing.TB) *Service {
	t.Helper()
	node := newService(t, inProcess{s.Service}, s.service.now)
	node.ledger = ledger.New(ledger.Config{Storage: s.memory, ServiceID: node.identity, Now: s.service.now})
	if err := node.ledger.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return node
}

// checkRevocations checks how many revocations all nodes have to keep.
func (s *storedSite) checkRevocations(t testing.TB, want int) {
	t.Helper()
	got := slices.DeleteFunc(s.memory.Keys(), func(key string) bool { return !strings.Contains(key, "/revoked/") })
	if len(got) != want {
		t.Errorf("%d revocations are stored, want %d: %q", len(got), want, got)
	}
}

// checkLoggedOut checks that a request was answered as one that has ended everything.
func (o *outcome) checkLoggedOut(t testing.TB) {
	t.Helper()
	if o.err != nil || o.Code != http.StatusNoContent || o.Body.Len() > 0 || o.app != nil {
		t.Errorf("got %d %s, error %v, app reached: %v; want 204", o.Code, o.Body, o.err, o.app != nil)
	}
}

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
		"plain":            {keeping, Logout{}, false, []string{"bws_session", "bws_token"}},
		"TLS":              {keeping, Logout{}, true, []string{"__Host-bws_session", "__Host-bws_token"}},
		"custom name":      {named, Logout{Cookie: "s"}, false, []string{"bws_token", "s"}},
		"custom name, TLS": {named, Logout{Cookie: "s"}, true, []string{"__Host-bws_token", "s"}},
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

// Security case 57: whatever of the two the browser presents, neither is good any more, here or on another node.
func TestLogoutEndsSessionAndToken(t *testing.T) {
	for name, present := range map[string]func(cookie, token string) []string{
		"session":                  func(cookie, _ string) []string { return []string{cookie} },
		"token in a header":        func(_, token string) []string { return []string{"X-BWS-Token: " + token} },
		"token in a cookie":        func(_, token string) []string { return []string{"Cookie: bws_token=" + token} },
		"both":                     func(cookie, token string) []string { return []string{cookie + "; bws_token=" + token} },
		"session and rubbish":      func(cookie, _ string) []string { return []string{cookie, "X-BWS-Token: rubbish"} },
		"token after rubbish":      func(_, token string) []string { return []string{"X-BWS-Token: rubbish", "X-BWS-Token: " + token} },
		"token and a dead session": func(_, token string) []string { return []string{"Cookie: bws_session=x", "X-BWS-Token: " + token} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			g, token := s.gate(t, keeping), s.goodToken()
			cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
			other, bobs := s.begin(t, g), send(t, get("X-BWS-Token: "+s.tokenOfBob()), g).session(t)
			if s.service.verifier.Recall(keyOf(token)) == nil {
				t.Fatal("the token is not remembered")
			}
			node := provision(t, keeping, s.anotherNode(t))
			send(t, get("X-BWS-Token: "+token), node).checkAllowed(t)

			send(t, post(present(cookie, token)...), s.logout(t, Logout{})).checkLoggedOut(t)
			s.checkRevocations(t, 1)
			if err := node.service.ledger.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, gate := range []*Gate{g, s.gate(t, Gate{}), node} {
				for _, again := range []string{"X-BWS-Token: " + token, "Cookie: bws_token=" + token} {
					o := send(t, get(again), gate)
					o.checkDenied(t, http.StatusUnauthorized, "revoked")
					o.checkNotSet(t)
				}
			}
			send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "revoked")
			send(t, get(cookie), node).checkDenied(t, http.StatusUnauthorized, "revoked")
			// Others are as they were, the same person's other session too, and a new token begins anew.
			for _, alive := range []string{other, bobs, "X-BWS-Token: " + s.goodToken()} {
				send(t, get(alive), g).checkAllowed(t)
			}
		})
	}
}

// Without a session, the token alone must not go on being good, whatever came of it so far.
func TestLogoutEndsATokenWithoutASession(t *testing.T) {
	for name, test := range map[string]struct {
		token func(*site) string
		asked bool // whether the gate has asked BWS about it before
	}{
		"seen before":  {(*site).goodToken, true},
		"never seen":   {(*site).goodToken, false},
		"not yet used": {func(s *site) string { return s.Token(bwstest.TokenSpec{BCID: alice}) }, false},
		"failed":       {tokenFailed(bws.LiveDetectionFailed), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			g, token := s.gate(t, Gate{}), test.token(s.site)
			if test.asked {
				send(t, get("X-BWS-Token: "+token), g)
			}
			asked := s.Calls("/result")
			send(t, post("X-BWS-Token: "+token), s.logout(t, Logout{})).checkLoggedOut(t)
			if calls := s.Calls("/result") - asked; test.asked && calls != 0 || calls > 1 {
				t.Errorf("BWS was asked %d times", calls)
			}
			s.checkRevocations(t, 1)
			s.Perform(token, bwstest.Outcome{Success: true})
			s.pass(time.Second)
			send(t, get("X-BWS-Token: "+token), g).checkDenied(t, http.StatusUnauthorized, "revoked")
		})
	}
}

// What a token was remembered as is of no use once it has been revoked.
func TestLogoutForgetsTheToken(t *testing.T) {
	s := newSite(t)
	token := s.goodToken()
	cookie := send(t, get("X-BWS-Token: "+token), s.gate(t, keeping)).session(t)
	send(t, post(cookie, "X-BWS-Token: "+token), s.logout(t, Logout{})).checkLoggedOut(t)
	if s.service.verifier.Recall(keyOf(token)) != nil {
		t.Error("the token is still remembered")
	}
}

// Anybody can invent tokens; all nodes would have to keep their revocations for a month.
func TestLogoutOfWhatIsNoToken(t *testing.T) {
	for name, test := range map[string]struct {
		token func(*site) string
		calls int
	}{
		"nothing":              {tokenText(""), 0},
		"rubbish":              {tokenText("rubbish"), 0},
		"too long":             {tokenText(strings.Repeat("e30.", 2000)), 0},
		"of another app":       {tokenForeign("another"), 0},
		"rejected":             {tokenForeign(bwstest.AppID), 1},
		"expired":              {tokenAfter(11 * time.Minute), 0},
		"rejected as expired":  {tokenAfter(10 * time.Minute), 1},
		"rejected and a blank": {func(s *site) string { return tokenForeign(bwstest.AppID)(s) + " " }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			o := send(t, post("Cookie: bws_token="+test.token(s.site)), s.logout(t, Logout{}))
			o.checkLoggedOut(t)
			if len(o.cookies(t)) != 2 {
				t.Errorf("cleared are %q", o.Header()["Set-Cookie"])
			}
			if calls := s.Calls("/result"); calls != test.calls {
				t.Errorf("BWS was asked %d times, want %d", calls, test.calls)
			}
			s.checkRevocations(t, 0)
		})
	}
}

// A token that comes many times is asked about once, though nothing is remembered of one that has ended.
func TestLogoutAsksOnceAboutAToken(t *testing.T) {
	s := newStoredSite(t)
	token := tokenAfter(10 * time.Minute)(s.site)
	cookies := "Cookie: bws_token=" + token + strings.Repeat("; bws_token="+token, 9)
	send(t, post(cookies, "X-BWS-Token: "+token), s.logout(t, Logout{})).checkLoggedOut(t)
	if calls := s.Calls("/result"); calls != 1 {
		t.Errorf("BWS was asked %d times", calls)
	}
	s.checkRevocations(t, 0)
}

// Nor does logging out again and again make BWS say again and again that it rejects a token.
func TestLogoutLeavesRejectionsRemembered(t *testing.T) {
	s := newSite(t)
	token, l := tokenForeign(bwstest.AppID)(s), s.logout(t, Logout{})
	for range 3 {
		send(t, post("X-BWS-Token: "+token), l).checkLoggedOut(t)
	}
	if calls := s.Calls("/result"); calls != 1 {
		t.Errorf("BWS was asked %d times", calls)
	}
}

// tampered is a cookie with another character near its end.
func tampered(cookie string) string {
	at := len(cookie) - 9
	other := "A"
	if cookie[at:at+1] == other {
		other = "B"
	}
	return cookie[:at] + other + cookie[at+1:]
}

// A session counts where it is good, and nowhere else.
func TestLogoutOfASessionElsewhere(t *testing.T) {
	s := newStoredSite(t)
	g := s.gate(t, keeping)
	cookie := s.begin(t, g)
	elsewhere := post(cookie)
	elsewhere.Host = "other.example"
	other := newSite(t)
	for name, test := range map[string]struct {
		request *http.Request
		handler *Logout
	}{
		"another host":           {elsewhere, s.logout(t, Logout{})},
		"another cookie":         {post(cookie), s.logout(t, Logout{Cookie: "s"})},
		"moved to that cookie":   {post(strings.Replace(cookie, "bws_session", "s", 1)), s.logout(t, Logout{Cookie: "s"})},
		"tampered":               {post(tampered(cookie)), s.logout(t, Logout{})},
		"cut":                    {post(cookie[:len(cookie)-4]), s.logout(t, Logout{})},
		"presented as a token":   {post(strings.Replace(cookie, "bws_session", "bws_token", 1)), s.logout(t, Logout{})},
		"another's keys":         {post(cookie), other.logout(t, Logout{})},
		"secure cookie in plain": {post(strings.Replace(cookie, "bws_session", "__Host-bws_session", 1)), s.logout(t, Logout{})},
		"plain cookie over TLS":  {overTLS(post(cookie)), s.logout(t, Logout{})},
	} {
		t.Run(name, func(t *testing.T) {
			send(t, test.request, test.handler).checkLoggedOut(t)
			s.checkRevocations(t, 0)
			send(t, get(cookie), g).checkAllowed(t)
		})
	}
	send(t, post(cookie), s.logout(t, Logout{})).checkLoggedOut(t)
	s.checkRevocations(t, 1)
}

func TestLogoutWithACustomCookie(t *testing.T) {
	s := newStoredSite(t)
	g := s.gate(t, Gate{Session: &Session{Cookie: "s"}})
	set := send(t, get("X-BWS-Token: "+s.goodToken()), g).cookies(t)["s"]
	cookie := "Cookie: s=" + set.Value
	send(t, get(cookie), g).checkAllowed(t)
	send(t, post(cookie), s.logout(t, Logout{Cookie: "s"})).checkLoggedOut(t)
	send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "revoked")
	s.checkRevocations(t, 1)
}

// A gate denies two sessions as ambiguous; logging out ends both, in one line of cookies or two.
func TestLogoutEndsTwoSessions(t *testing.T) {
	for name, join := range map[string]func(a, b string) []string{
		"two lines": func(a, b string) []string { return []string{a, b} },
		"one line":  func(a, b string) []string { return []string{a + "; " + strings.TrimPrefix(b, "Cookie: ")} },
		"and again": func(a, b string) []string { return []string{a, b, a, b} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			g := s.gate(t, keeping)
			a, b := s.begin(t, g), s.begin(t, g)
			send(t, get(join(a, b)...), g).checkDenied(t, http.StatusBadRequest, "ambiguous_token")
			send(t, post(join(a, b)...), s.logout(t, Logout{})).checkLoggedOut(t)
			s.checkRevocations(t, 2)
			send(t, get(a), g).checkDenied(t, http.StatusUnauthorized, "revoked")
			send(t, get(b), g).checkDenied(t, http.StatusUnauthorized, "revoked")
		})
	}
}

// A gate in front has taken the credentials out of the request already.
func TestLogoutBehindAGate(t *testing.T) {
	s := newStoredSite(t)
	g, token := s.gate(t, keeping), s.goodToken()
	o := send(t, post("X-BWS-Token: "+token), g, s.logout(t, Logout{}))
	o.checkLoggedOut(t)
	lines := o.Header()["Set-Cookie"]
	last := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "bws_session=;") })
	for i, line := range lines {
		if strings.HasPrefix(line, "bws_session=") && i > last {
			t.Errorf("the session is set after it was cleared: %q", lines)
		}
	}
	s.checkRevocations(t, 1)
	send(t, get("X-BWS-Token: "+token), g).checkDenied(t, http.StatusUnauthorized, "revoked")

	cookie := s.begin(t, g)
	send(t, post(cookie), g, s.logout(t, Logout{})).checkLoggedOut(t)
	send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "revoked")
}

// Security case 107: the browser forgets, this node refuses, and the person hears that other nodes may not.
func TestLogoutWithoutStorage(t *testing.T) {
	for name, fault := range map[string]ledgertest.Fault{
		"down": ledgertest.Failing(), "read-only": ledgertest.ReadOnly(), "writes fail": ledgertest.Failing(ledgertest.Store),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			g, token := s.gate(t, keeping), s.goodToken()
			cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
			s.faulty.Set(fault)
			o := send(t, post(cookie), s.logout(t, Logout{Redirect: "/bye"}))
			o.checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
			if o.Header().Get("Location") != "" || o.Header().Get("Cache-Control") != "no-store" || len(o.cookies(t)) != 2 {
				t.Errorf("the client gets %q", o.Header())
			}
			send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "revoked")
			send(t, get("X-BWS-Token: "+token), g).checkDenied(t, http.StatusUnauthorized, "revoked")
			// Whoever tries again when the storage is back has it stored.
			s.checkRevocations(t, 0)
			s.faulty.Set(ledgertest.Fault{})
			send(t, post(cookie), s.logout(t, Logout{})).checkLoggedOut(t)
			s.checkRevocations(t, 1)
		})
	}
}

// The first revocation that cannot be stored must not keep the others from being made here.
func TestLogoutOfTwoSessionsWithoutStorage(t *testing.T) {
	s := newStoredSite(t)
	g := s.gate(t, keeping)
	a, b := s.begin(t, g), s.begin(t, g)
	s.faulty.Set(ledgertest.Failing())
	send(t, post(a, b), s.logout(t, Logout{})).checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
	send(t, get(a), g).checkDenied(t, http.StatusUnauthorized, "revoked")
	send(t, get(b), g).checkDenied(t, http.StatusUnauthorized, "revoked")
}

// Each row is an answer of BWS about a token that nothing is known of, and what the person hears.
func TestLogoutWhenBWSDoesNotAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		answer bwstest.Answer
		reason policy.Reason
	}{
		"fault":       {bwstest.Answer{Status: http.StatusInternalServerError}, policy.ServiceUnavailable},
		"refused":     {bwstest.Answer{Status: http.StatusUnauthorized}, policy.ServiceMisconfigured},
		"redirection": {bwstest.Answer{Status: http.StatusFound}, policy.ServiceInvalid},
		"nonsense":    {bwstest.Answer{Body: []byte("<html>")}, policy.ServiceInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			s.ScriptAlways("/result", test.answer)
			o := send(t, post("X-BWS-Token: "+s.goodToken()), s.logout(t, Logout{}))
			o.checkDenied(t, statuses[test.reason], string(test.reason))
			if len(o.cookies(t)) != 2 || o.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("the client gets %q", o.Header())
			}
			s.checkRevocations(t, 0)
		})
	}
}

func TestLogoutWhenBWSIsOutOfReach(t *testing.T) {
	for reason, end := range map[policy.Reason]wire{
		policy.ServiceUnavailable: func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") },
		policy.ServiceTimeout:     func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
		policy.InternalError:      func(*http.Request) (*http.Response, error) { panic("no transport is that bad") },
	} {
		t.Run(string(reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				token := s.goodToken()
				s.service = newService(t, end, s.service.now)
				o := send(t, post("X-BWS-Token: "+token), s.logout(t, Logout{}))
				o.checkDenied(t, statuses[reason], string(reason))
				if len(o.cookies(t)) != 2 {
					t.Errorf("cleared are %q", o.Header()["Set-Cookie"])
				}
			})
		})
	}
}

// Whoever asks about too many unknown tokens hears so here, too.
func TestLogoutIsRateLimited(t *testing.T) {
	s := newStoredSite(t)
	l := s.logout(t, Logout{})
	for range defaultRateCalls {
		send(t, post("X-BWS-Token: "+tokenForeign(bwstest.AppID)(s.site)), l).checkLoggedOut(t)
	}
	send(t, post("X-BWS-Token: "+tokenForeign(bwstest.AppID)(s.site)), l).checkDenied(t, http.StatusTooManyRequests, "rate_limited")
	if calls := s.Calls("/result"); calls != defaultRateCalls {
		t.Errorf("BWS was asked %d times", calls)
	}
	s.checkRevocations(t, 0)
}

// A session proves its own token, so that BWS need not be there.
func TestLogoutOfASessionNeedsNoBWS(t *testing.T) {
	s := newStoredSite(t)
	g, token := s.gate(t, keeping), s.goodToken()
	cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
	s.service.verifier.ForgetAll()
	s.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	asked := s.Calls("/result")
	send(t, post(cookie, "X-BWS-Token: "+token), s.logout(t, Logout{})).checkLoggedOut(t)
	if calls := s.Calls("/result") - asked; calls != 0 {
		t.Errorf("BWS was asked %d times", calls)
	}
	s.checkRevocations(t, 1)
}

// A token that cannot be proven must not keep the session that comes with it alive: rubbish in a header would be enough.
func TestLogoutEndsTheSessionWhateverBecomesOfTheToken(t *testing.T) {
	s := newStoredSite(t)
	g := s.gate(t, keeping)
	cookie := s.begin(t, g)
	s.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	o := send(t, post(cookie, "X-BWS-Token: "+s.goodToken()), s.logout(t, Logout{}))
	o.checkDenied(t, http.StatusServiceUnavailable, "service_unavailable")
	s.checkRevocations(t, 1)
	send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "revoked")
}

// A page that logs out and moves on at once cancels its request. All nodes hear of it nevertheless.
func TestLogoutIsStoredThoughTheClientLeaves(t *testing.T) {
	s := newStoredSite(t)
	g, token := s.gate(t, keeping), s.goodToken()
	cookie := s.begin(t, g)
	left, leave := context.WithCancel(t.Context())
	leave()
	send(t, post(cookie).WithContext(left), s.logout(t, Logout{}))
	s.checkRevocations(t, 1)
	send(t, post("X-BWS-Token: "+token).WithContext(left), s.logout(t, Logout{}))
	s.checkRevocations(t, 2)
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
			if !strings.Contains(o.Body.String(), "ledger_unavailable") || len(o.cookies(t)) != 2 {
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
