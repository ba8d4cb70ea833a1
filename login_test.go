package caddybws

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// browser is a person's browser before gates, with a jar for cookies.
type browser struct {
	t     testing.TB
	site  *site
	gates []caddyhttp.MiddlewareHandler
	jar   http.CookieJar
}

const appOrigin = "http://app.example"

func (s *site) browser(t testing.TB, gates ...caddyhttp.MiddlewareHandler) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, s, gates, jar}
}

// navigation is what a browser sends when a person opens a page.
func navigation(target string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = "app.example"
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// visit has the browser navigate to a path and query, without following where that leads.
func (b *browser) visit(target string, headers ...string) *outcome {
	b.t.Helper()
	return b.send(navigation(target, headers...))
}

// send sends a request with the cookies that the browser has kept.
func (b *browser) send(r *http.Request) *outcome {
	b.t.Helper()
	origin := &url.URL{Scheme: "http", Host: "app.example"}
	if r.TLS != nil {
		origin.Scheme = "https"
	}
	for _, cookie := range b.jar.Cookies(origin) {
		r.AddCookie(cookie)
	}
	o := send(b.t, r, b.gates...)
	b.jar.SetCookies(origin, o.Result().Cookies())
	return o
}

// has returns the names of the cookies that the browser keeps.
func (b *browser) has() (names []string) {
	for _, cookie := range b.jar.Cookies(&url.URL{Scheme: "https", Host: "app.example"}) {
		names = append(names, cookie.Name)
	}
	slices.Sort(names)
	return names
}

// sentTo returns the camera page's parameters that an answer sends the browser to.
func (o *outcome) sentTo(t testing.TB) url.Values {
	t.Helper()
	ui, err := url.Parse(o.Header().Get("Location"))
	if o.Code != http.StatusSeeOther || err != nil || ui.Host != "www.bioid.com" {
		t.Fatalf("got %d %q %s, want a redirect to the camera page", o.Code, o.Header().Get("Location"), o.Body)
	}
	return ui.Query()
}

// backFrom is the address at which the camera page leaves the browser, as BioID's page writes it.
func backFrom(ui url.Values, parameters string) string {
	return strings.TrimPrefix(ui.Get("return_url"), appOrigin) + "?access_token=" + ui.Get("access_token") + parameters +
		"&state=" + ui.Get("state") + "&skipintro=false"
}

// logIn has the browser sent to the camera page, perform, and return.
func (b *browser) logIn(target string, performed bwstest.Outcome) *outcome {
	b.t.Helper()
	ui := b.visit(target).sentTo(b.t)
	b.site.Perform(ui.Get("access_token"), performed)
	return b.visit(backFrom(ui, ""))
}

// checkPage checks that a browser is shown why it is denied.
func (o *outcome) checkPage(t testing.TB, status int, reason policy.Reason) {
	t.Helper()
	if o.err != nil || o.Code != status || o.app != nil || !strings.Contains(o.Body.String(), "<code>"+string(reason)+"</code>") {
		t.Errorf("got %d %q %s, error %v; want a page with %d %s", o.Code, o.Header().Get("Location"), o.Body, o.err, status, reason)
	}
}

// checkSentOn checks that an answer leads to a path of the site, and leaves nothing of the way there.
func (o *outcome) checkSentOn(t testing.TB, to string) {
	t.Helper()
	header := o.Header()
	if o.Code != http.StatusSeeOther || header.Get("Location") != to || o.app != nil {
		t.Fatalf("got %d %q, app reached: %v; want a redirect to %s", o.Code, header.Get("Location"), o.app != nil, to)
	}
	if header.Get("Referrer-Policy") != "no-referrer" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("Referrer-Policy %q, Cache-Control %q", header.Get("Referrer-Policy"), header.Get("Cache-Control"))
	}
}

func loginGate(edits ...func(*Gate)) Gate {
	g := Gate{BCID: []string{alice.String()}, Login: new(Login)}
	for _, edit := range edits {
		edit(&g)
	}
	return g
}

func withSession(g *Gate) { g.Session = new(Session) }

func withOnce(methods ...string) func(*Gate) {
	return func(g *Gate) { g.Once = &Once{Methods: methods} }
}

// A login ends where the browser was going, and costs one token and one result; on a once route the result is asked for again when
// the token is spent.
func TestLogin(t *testing.T) {
	for name, test := range map[string]struct {
		gate    Gate
		results int
		cookie  string
	}{
		"session": {loginGate(withSession), 1, "bws_session"},
		"token":   {loginGate(), 1, "bws_login_token"},
		"once":    {loginGate(withOnce()), 2, "bws_login_token"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			b := s.browser(t, s.gate(t, test.gate))
			b.logIn("/page?x=1&y=%2F", bwstest.Outcome{Success: true}).checkSentOn(t, "/page?x=1&y=%2F")
			o := b.visit("/page?x=1&y=%2F")
			o.checkAllowed(t)
			o.checkPlaceholders(t, map[string]string{"http.auth.user.id": alice.String()})
			if cookies := o.app.Header["Cookie"]; cookies != nil {
				t.Errorf("the app sees %q", cookies)
			}
			if tokens, results := s.Calls("/token"), s.Calls("/result"); tokens != 1 || results != test.results {
				t.Errorf("%d tokens and %d results were asked for", tokens, results)
			}
			if names := b.has(); !slices.Equal(names, []string{test.cookie}) {
				t.Errorf("the browser keeps %q", names)
			}
		})
	}
}

// A login that does not suffice ends in a page that says why, as often as it is loaded, and leads on by a click.
func TestLoginThatFails(t *testing.T) {
	s := newSite(t)
	b := s.browser(t, s.gate(t, loginGate(withSession)))
	b.logIn("/page?x=1", bwstest.Outcome{}).checkSentOn(t, "/page?x=1")
	for range 2 {
		o := b.visit("/page?x=1")
		if o.Code != http.StatusForbidden || !strings.Contains(o.Body.String(), "You were not recognized") ||
			!strings.Contains(o.Body.String(), `href="/page?x=1&amp;"`) {
			t.Fatalf("got %d %s", o.Code, o.Body)
		}
	}
	b.visit("/other").sentTo(t)
	b.logIn("/page?x=1&", bwstest.Outcome{Success: true}).checkSentOn(t, "/page?x=1")
	b.visit("/page?x=1").checkAllowed(t)
}

// A page that asks for more than its site has another login at its gate, whichever of the two gates comes first.
func TestStepUp(t *testing.T) {
	s := newSite(t)
	siteWide := s.gate(t, loginGate(func(g *Gate) { g.Session = &Session{Lifetime: caddy.Duration(30 * time.Minute)} }))
	transfer := s.gate(t, loginGate(withOnce(http.MethodPost), func(g *Gate) { g.MaxAge = caddy.Duration(2 * time.Minute) }))
	success := bwstest.Outcome{Success: true}
	for name, gates := range map[string][]caddyhttp.MiddlewareHandler{
		"longer path first": {transfer, siteWide}, "site first": {siteWide, transfer},
	} {
		t.Run(name, func(t *testing.T) {
			b := s.browser(t, siteWide)
			b.logIn("/", success).checkSentOn(t, "/")
			b.visit("/").checkAllowed(t)
			s.pass(5 * time.Minute)
			s.sync(t)
			b.visit("/").checkAllowed(t)

			b.gates = gates
			post := func() *http.Request {
				r := navigation("/transfer")
				r.Method = http.MethodPost
				return r
			}
			stepUp := func() {
				t.Helper()
				b.logIn("/transfer?to=bob", success).checkSentOn(t, "/transfer?to=bob")
				b.visit("/transfer?to=bob").checkAllowed(t)
			}
			b.send(post()).checkDenied(t, http.StatusUnauthorized, "no_token")
			stepUp()
			b.visit("/transfer").checkAllowed(t) // to look spends nothing
			b.send(post()).checkAllowed(t)
			b.send(post()).checkDenied(t, http.StatusUnauthorized, "spent")
			stepUp()
			s.pass(2*time.Minute + time.Second)
			s.sync(t)
			b.send(post()).checkDenied(t, http.StatusUnauthorized, "too_old")
			stepUp()
			b.send(post()).checkAllowed(t)

			b.gates = []caddyhttp.MiddlewareHandler{siteWide}
			b.visit("/").checkAllowed(t)
		})
	}
}

// Nobody is known before an identification, and nobody after a livenessdetection.
func TestLoginOfOtherKinds(t *testing.T) {
	for name, test := range map[string]struct {
		gate Gate
		user string
	}{
		"identification":               {identifying, bob.String()},
		"livenessdetection":            {aliveGate, ""},
		"identification, no session":   {edited(identifying, func(g *Gate) { g.Session = nil }), bob.String()},
		"livenessdetection, and spent": {edited(aliveGate, func(g *Gate) { g.Session, g.Once = nil, new(Once) }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.Enroll(bob)
			b := s.browser(t, s.gate(t, test.gate))
			b.logIn("/page", bwstest.Outcome{Success: true}).checkSentOn(t, "/page")
			o := b.visit("/page")
			o.checkAllowed(t)
			o.checkPlaceholders(t, map[string]string{"http.auth.user.id": test.user})
			other := s.browser(t, b.gates...)
			other.logIn("/page", bwstest.Outcome{Error: bws.LiveDetectionFailed}).checkSentOn(t, "/page")
			other.visit("/page").checkPage(t, http.StatusForbidden, "live_detection_failed")
		})
	}
	s := newSite(t)
	b := s.browser(t, s.gate(t, identifying))
	b.logIn("/page", bwstest.Outcome{Success: true}).checkSentOn(t, "/page")
	b.visit("/page").checkPage(t, http.StatusForbidden, "score_too_low")
}

// What has ended makes the next login begin by itself, once.
func TestLoginAgain(t *testing.T) {
	for name, test := range map[string]struct {
		gate   Gate
		after  time.Duration
		reason policy.Reason
	}{
		"session expired": {loginGate(withSession), 15 * time.Minute, "session_expired"},
		"token expired":   {loginGate(), 11 * time.Minute, "expired_token"},
		"token rejected":  {loginGate(), 10*time.Minute + time.Second, "rejected_token"},
		"too old":         {loginGate(withSession, func(g *Gate) { g.MaxAge = caddy.Duration(time.Minute) }), 2 * time.Minute, "too_old"},
		"spent":           {loginGate(withOnce()), 0, "spent"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			b := s.browser(t, s.gate(t, test.gate))
			for range 2 {
				b.logIn("/page", bwstest.Outcome{Success: true}).checkSentOn(t, "/page")
				b.visit("/page").checkAllowed(t)
				s.pass(test.after)
				s.sync(t)
				b.visit("/page", "Sec-Fetch-Mode: cors").checkDenied(t, http.StatusUnauthorized, string(test.reason))
			}
			b.logIn("/page", bwstest.Outcome{}).checkSentOn(t, "/page")
			b.visit("/page").checkPage(t, http.StatusForbidden, "not_recognized")
		})
	}
}

// Two gates on one request each finish their own logins, whichever comes first.
func TestLoginsOfTwoGates(t *testing.T) {
	success := bwstest.Outcome{Success: true}
	for name, siteFirst := range map[string]bool{"longer path first": false, "site first": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			idle := &Session{Lifetime: caddy.Duration(time.Hour), Idle: caddy.Duration(10 * time.Minute)}
			siteWide := s.gate(t, loginGate(func(g *Gate) { g.Session = idle }))
			admin := s.gate(t, loginGate(withSession, func(g *Gate) {
				g.Require, g.MaxAge = "challenge", caddy.Duration(2*time.Minute)
			}))
			b := s.browser(t, admin, siteWide)
			if siteFirst {
				b = s.browser(t, siteWide, admin)
				b.logIn("/admin", success).checkSentOn(t, "/admin")
				b.visit("/admin").checkPage(t, http.StatusForbidden, "no_challenge")
			}
			b.logIn("/admin?", success).checkSentOn(t, "/admin")
			b.visit("/admin").checkAllowed(t)
			// The site's gate renews the session on the very return that begins another one.
			s.pass(4*time.Minute + 30*time.Second)
			ui := b.visit("/admin?x=1").sentTo(t)
			s.Perform(ui.Get("access_token"), success)
			s.pass(time.Minute)
			s.sync(t)
			b.visit(backFrom(ui, "")).checkSentOn(t, "/admin?x=1")
			b.visit("/admin?x=1").checkAllowed(t)
		})
	}
}

// A gate that has become another one in the meantime has its own login, to where the first one was to lead.
func TestLoginAtAGateThatChanges(t *testing.T) {
	s := newSite(t)
	b := s.browser(t, s.gate(t, loginGate()))
	ui := b.visit("/page?x=1").sentTo(t)
	s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
	for _, edit := range []func(*Gate){withSession, func(g *Gate) { g.Login.Challenge = true }} {
		b.gates = []caddyhttp.MiddlewareHandler{s.gate(t, loginGate(edit))}
		b.logIn(backFrom(ui, ""), bwstest.Outcome{Success: true}).checkSentOn(t, "/page?x=1")
	}
	b.visit("/page?x=1").checkAllowed(t)
}
