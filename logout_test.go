package caddybws

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
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
	s.service.useLedger(t, ledger.New(ledger.Config{Storage: s.faulty, ServiceID: s.service.identity, Now: s.service.now}))
	s.sync(t)
	return s
}

// anotherNode is the service on another node with the same storage.
func (s *storedSite) anotherNode(t testing.TB) *Service {
	t.Helper()
	node := newService(t, inProcess{s.Service}, s.service.now)
	node.useLedger(t, ledger.New(ledger.Config{Storage: s.memory, ServiceID: node.identity, Now: s.service.now}))
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

// A login without a session leaves a token with its proof, and one with a session a session. Neither is good any more.
func TestLogoutEndsALogin(t *testing.T) {
	for name, gate := range map[string]Gate{"token": loginGate(), "session": loginGate(withSession), "once": loginGate(withOnce("POST"))} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			g := s.gate(t, gate)
			node := provision(t, gate, s.anotherNode(t))
			b := s.browser(t, g)
			b.logIn("/page", bwstest.Outcome{Success: true}).checkSentOn(t, "/page")
			b.visit("/page").checkAllowed(t)
			kept := b.jar.Cookies(&url.URL{Scheme: "http", Host: "app.example"})
			b.gates = []caddyhttp.MiddlewareHandler{s.logout(t, Logout{})}
			b.send(post()).checkLoggedOut(t)
			s.checkRevocations(t, 1)
			if names := b.has(); len(names) > 0 || len(kept) != 1 {
				t.Errorf("the browser had %v and keeps %q", kept, names)
			}
			if err := node.service.ledger.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, gate := range []*Gate{g, node} {
				send(t, get("Cookie: "+kept[0].String()), gate).checkDenied(t, http.StatusUnauthorized, "revoked")
			}
			// A new login begins anew.
			b.gates = []caddyhttp.MiddlewareHandler{g}
			s.pass(time.Second)
			b.logIn("/page", bwstest.Outcome{Success: true}).checkSentOn(t, "/page")
			b.visit("/page").checkAllowed(t)
		})
	}
}

// Whoever has logged out while the camera page was open does not come back in.
func TestLogoutDuringALogin(t *testing.T) {
	s := newStoredSite(t)
	g := s.gate(t, loginGate())
	b := s.browser(t, g)
	ui := b.visit("/page").sentTo(t)
	s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
	send(t, post("X-BWS-Token: "+ui.Get("access_token")), s.logout(t, Logout{})).checkLoggedOut(t)
	b.visit(backFrom(ui, "")).checkSentOn(t, "/page")
	b.visit("/page").checkPage(t, http.StatusUnauthorized, "revoked")
}
