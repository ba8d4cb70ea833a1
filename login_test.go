package caddybws

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
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

// visit has the browser navigate to a path and query, without following where that leads.
func (b *browser) visit(target string, headers ...string) *outcome {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = "app.example"
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return b.send(r)
}

func (b *browser) send(r *http.Request) *outcome {
	b.t.Helper()
	origin, _ := url.Parse(appOrigin)
	for _, cookie := range b.jar.Cookies(origin) {
		r.AddCookie(cookie)
	}
	o := send(b.t, r, b.gates...)
	b.jar.SetCookies(origin, o.Result().Cookies())
	return o
}

// sentTo returns the capture page's parameters that an answer sends the browser to.
func (o *outcome) sentTo(t testing.TB) url.Values {
	t.Helper()
	ui, err := url.Parse(o.Header().Get("Location"))
	if o.Code != http.StatusSeeOther || err != nil || ui.Host != "www.bioid.com" {
		t.Fatalf("got %d %q %s, want a redirect to the capture page", o.Code, o.Header().Get("Location"), o.Body)
	}
	return ui.Query()
}

// backFrom is the address at which the capture page leaves the browser, as BioID's page writes it.
func backFrom(ui url.Values, parameters string) string {
	return strings.TrimPrefix(ui.Get("return_url"), appOrigin) + "?access_token=" + ui.Get("access_token") + parameters +
		"&state=" + ui.Get("state") + "&skipintro=false"
}

// logIn has the browser sent to the capture page, perform, and return.
func (b *browser) logIn(target string, performed bwstest.Outcome) *outcome {
	b.t.Helper()
	ui := b.visit(target).sentTo(b.t)
	b.site.Perform(ui.Get("access_token"), performed)
	return b.visit(backFrom(ui, ""))
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
			names := make(map[string]bool)
			for _, cookie := range b.jar.Cookies(&url.URL{Scheme: "http", Host: "app.example"}) {
				names[cookie.Name] = true
			}
			if len(names) != 1 || !names[test.cookie] {
				t.Errorf("the browser keeps %v", names)
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
