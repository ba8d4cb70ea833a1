package caddybws

import (
	"net/http"

	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/sealed"
)

// attempt is a login of Alice's that is under way: she has been recognized, and her browser is about to return to /page?x=1.
type attempt struct {
	*site
	*browser
	user string
	ui   url.Values
}

// startLogin begins a login at a gate behind a first factor.
func startLogin(t testing.TB, gate Gate) *attempt {
	t.Helper()
	s := newSite(t)
	a := &attempt{site: s, user: "12345"}
	a.browser = s.browser(t, firstFactor(&a.user), s.gate(t, gate))
	a.ui = a.visit("/page?x=1").sentTo(t)
	s.Perform(a.ui.Get("access_token"), bwstest.Outcome{Success: true})
	return a
}

// back is the address of the return with other parameters than those of the login.
func (a *attempt) back(token, state string) string {
	return "/page?access_token=" + token + "&state=" + state + "&skipintro=false"
}

// returns has the browser return as it should.
func (a *attempt) returns() *outcome { return a.visit(backFrom(a.ui, "")) }

func (a *attempt) token() string { return a.ui.Get("access_token") }
func (a *attempt) state() string { return a.ui.Get("state") }

// Security case 69. Each row is a return that does not count, and what the person hears at the address where it was to lead.
func TestReturnThatDoesNotCount(t *testing.T) {
	forUser := loginGate(withSession, func(g *Gate) { g.BCID, g.Login.BCID = []string{"bioid/9876/*"}, "bioid/9876/{user}" })
	with := func(token func(a *attempt) string) func(*attempt) string {
		return func(a *attempt) string { return a.back(token(a), a.state()) }
	}
	after := func(prepare func(a *attempt)) func(*attempt) string {
		return func(a *attempt) string {
			prepare(a)
			return backFrom(a.ui, "")
		}
	}
	ending := func(o bwstest.Outcome) func(*attempt) string {
		return after(func(a *attempt) { a.Perform(a.token(), o) })
	}
	answering := func(answer bwstest.Answer) func(*attempt) string {
		return after(func(a *attempt) { a.ScriptAlways("/result", answer) })
	}
	revoking := func(s ledger.Subject) func(*attempt) string {
		return after(func(a *attempt) {
			a.pass(time.Second)
			if err := a.service.ledger.Revoke(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		})
	}
	for name, test := range map[string]struct {
		target func(a *attempt) string
		reason policy.Reason
		title  string
	}{
		"too late":          {after(func(a *attempt) { a.pass(10 * time.Minute) }), "expired_token", "Your verification has expired"},
		"from the future":   {after(func(a *attempt) { a.pass(-61 * time.Second) }), "not_yet_valid", "Your verification is not valid yet"},
		"another browser":   {after(func(a *attempt) { a.browser = a.site.browser(t, a.gates...) }), "no_token", "does not count here"},
		"no token":          {func(a *attempt) string { return "/page?state=" + a.state() }, "contradiction", "does not add up"},
		"an empty token":    {with(func(*attempt) string { return "" }), "contradiction", "does not add up"},
		"the token twice":   {with(func(a *attempt) string { return a.token() + "&access_token=" + a.token() }), "contradiction", "not add up"},
		"another token":     {with(func(a *attempt) string { return a.goodToken() }), "contradiction", "does not add up"},
		"another's token":   {with(func(a *attempt) string { return a.tokenOfBob() }), "contradiction", "does not add up"},
		"half the token":    {with(func(a *attempt) string { return a.token()[:100] }), "contradiction", "does not add up"},
		"the token, quoted": {with(func(a *attempt) string { return strings.ReplaceAll(a.token(), ".", "%2e") }), "contradiction", "not add up"},
		"a huge token":      {with(func(*attempt) string { return strings.Repeat("x", 1<<20) }), "contradiction", "does not add up"},
		"another user":      {after(func(a *attempt) { a.user = "12346" }), "contradiction", "does not add up"},
		"user logged out":   {after(func(a *attempt) { a.user = "" }), "bcid_not_allowed", "This page is not open to you"},
		"not recognized":    {ending(bwstest.Outcome{}), "not_recognized", "You were not recognized"},
		"not alive":         {ending(bwstest.Outcome{Error: bws.LiveDetectionFailed}), "live_detection_failed", "Live detection failed"},
		"not enrolled":      {ending(bwstest.Outcome{Error: bws.NoTemplateAvailable}), "no_template", "You are not enrolled"},
		"another person":    {ending(bwstest.Outcome{Success: true, BCID: bob}), "contradiction", "does not add up"},
		"another action":    {ending(bwstest.Outcome{Success: true, Action: bws.Enrollment}), "contradiction", "does not add up"},
		"rejected":          {answering(bwstest.Answer{Status: 400}), "rejected_token", "Your verification is not valid"},
		"no BWS":            {answering(bwstest.Answer{Status: 500}), "service_unavailable", "The verification service cannot be reached"},
		"BWS refuses us":    {answering(bwstest.Answer{Status: 401}), "service_misconfigured", "Verification is out of order"},
		"BWS talks rubbish": {answering(bwstest.Answer{Body: []byte("{}")}), "service_invalid", "Verification is out of order"},
		"person revoked":    {revoking(ledger.OfPerson(personOf(alice))), "revoked", "Your verification has been revoked"},
		"all revoked":       {revoking(ledger.OfService()), "revoked", "Your verification has been revoked"},
	} {
		for kind, gate := range map[string]Gate{"session": forUser, "token": edited(forUser, func(g *Gate) { g.Session = nil })} {
			t.Run(name+", "+kind, func(t *testing.T) {
				a := startLogin(t, gate)
				a.visit(test.target(a)).checkSentOn(t, "/page?x=1")
				o := a.visit("/page?x=1")
				o.checkPage(t, o.Code, test.reason)
				if !strings.Contains(o.Body.String(), test.title) || !strings.Contains(o.Body.String(), `<a href="/page?x=1&amp;">Try again</a>`) {
					t.Errorf("the page says %s", o.Body)
				}
				if calls := a.Calls("/token"); calls != 1 {
					t.Errorf("%d tokens were asked for", calls)
				}
			})
		}
	}
}

func edited(g Gate, edit func(*Gate)) Gate {
	edit(&g)
	return g
}

// What the camera page says of itself proves nothing; it tells a wish from an accident.
func TestReturnSaysWhy(t *testing.T) {
	script := url.QueryEscape(`"><script>alert(1)</script>`)
	for name, test := range map[string]struct {
		performed, said string
		title           string // of the page, "" if there is none
	}{
		"canceled":             {"", "&error=user_abort", "You have canceled"},
		"skipped":              {"", "&error=user_skip", "You have canceled"},
		"an accident":          {"", "&error=no_camera", "Your verification is not finished"},
		"nothing":              {"", "", "Your verification is not finished"},
		"a script":             {"", "&error=" + script + "&x=" + script, "Your verification is not finished"},
		"recognized, canceled": {"success", "&error=user_abort", ""},
		"recognized, failed":   {"success", "&error=x&success=false", ""},
		"failed, canceled":     {"failure", "&error=user_abort", "You were not recognized"},
		"failed, succeeded":    {"failure", "&success=true&error=", "You were not recognized"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			b := s.browser(t, s.gate(t, loginGate()))
			ui := b.visit("/page").sentTo(t)
			if test.performed != "" {
				s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: test.performed == "success"})
			}
			back := b.visit(backFrom(ui, test.said))
			back.checkSentOn(t, "/page")
			o := b.visit("/page")
			if test.title == "" {
				o.checkAllowed(t)
				return
			}
			if o.app != nil || !strings.Contains(o.Body.String(), "<h1>"+test.title+"</h1>") {
				t.Errorf("got %d %s", o.Code, o.Body)
			}
			if all := back.Body.String() + o.Body.String(); strings.Contains(all, "alert") || strings.Contains(all, "camera<") {
				t.Errorf("the answers repeat what the page has said: %s", all)
			}
		})
	}
}

// Whatever is no return of this login passes as a request like any other: a person without evidence is denied, and an app gets its
// own parameters.
func TestNotAReturn(t *testing.T) {
	query := func(f func(a *attempt) string) func(*attempt) *http.Request {
		return func(a *attempt) *http.Request { return navigation("/page?access_token=" + a.token() + f(a)) }
	}
	sent := func(edit func(r *http.Request)) func(*attempt) *http.Request {
		return func(a *attempt) *http.Request {
			r := navigation(backFrom(a.ui, ""))
			edit(r)
			return r
		}
	}
	onPage := &loginState{begun: start, goal: goalOfPage(newSite(t).gate(t, loginGate(withSession)))}
	sealedFor := func(purpose string) func(a *attempt) string {
		return func(a *attempt) string {
			return "&state=" + resealed(t, a.service, onPage, purpose, "app.example", a.service.sealedFor)
		}
	}
	other := newSite(t)
	for name, request := range map[string]func(a *attempt) *http.Request{
		"no state":      query(func(*attempt) string { return "" }),
		"empty state":   query(func(*attempt) string { return "&state=" }),
		"state twice":   query(func(a *attempt) string { return "&state=" + a.state() + "&state=" + a.state() }),
		"and another":   query(func(a *attempt) string { return "&state=x&state=" + a.state() }),
		"forged":        query(func(*attempt) string { return "&state=" + strings.Repeat("A", 300) }),
		"cut":           query(func(a *attempt) string { return "&state=" + a.state()[1:] }),
		"longer":        query(func(a *attempt) string { return "&state=" + a.state() + "A" }),
		"encoded":       query(func(a *attempt) string { return "&state=" + "%" + strings.ToUpper(hexOf(a.state()[0])) + a.state()[1:] }),
		"in capitals":   query(func(a *attempt) string { return "&State=" + a.state() }),
		"1 MB":          query(func(*attempt) string { return "&state=" + strings.Repeat("A", 1<<20) }),
		"of outcome":    query(sealedFor(forLoginOutcome)),
		"of token":      query(sealedFor(forLoginToken)),
		"of no purpose": query(sealedFor("")),
		"other keys": query(func(*attempt) string {
			return "&state=" + resealed(t, other.service, onPage, forLoginState, "app.example", other.service.sealedFor)
		}),
		"other service": query(func(a *attempt) string {
			return "&state=" + resealed(t, a.service, onPage, forLoginState, "app.example", "other")
		}),
		"other path":       sent(func(r *http.Request) { r.URL.Path = "/other" }),
		"path spelled so":  sent(func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/page", "/%70age" }),
		"other host":       sent(func(r *http.Request) { r.Host = "other.example" }),
		"post":             sent(func(r *http.Request) { r.Method = http.MethodPost }),
		"put":              sent(func(r *http.Request) { r.Method = http.MethodPut }),
		"of an app":        query(func(*attempt) string { return "&state=a.b-c_d&code=1" }),
		"in a later value": query(func(a *attempt) string { return "&x=state=" + a.state() }),
		"semicolon":        query(func(a *attempt) string { return "&x;state=" + a.state() }),
	} {
		t.Run(name, func(t *testing.T) {
			a := startLogin(t, loginGate(withSession))
			r := request(a)
			r.Header.Set("Sec-Fetch-Mode", "cors")
			o := a.browser.send(r)
			o.checkDenied(t, http.StatusUnauthorized, "no_token")
			o.checkNotSet(t)

			s := a.site
			cookie := send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, keeping)).session(t)
			r = request(a)
			wanted := r.URL.RawQuery
			r.Header.Set("Cookie", strings.TrimPrefix(cookie, "Cookie: "))
			if r.Host != "app.example" {
				return // where this session is none
			}
			o = send(t, r, a.gates...)
			o.checkAllowed(t)
			if o.app.URL.RawQuery != wanted {
				t.Errorf("the app gets the query %.200s", o.app.URL.RawQuery)
			}
		})
	}
}

func goalOfPage(g *Gate) goalHash { return g.login.goalOf(&url.URL{Path: "/page"}) }

// What the rows above seal for something else is a return if it is sealed for that.
func TestResealedStateIsAReturn(t *testing.T) {
	a := startLogin(t, loginGate())
	state := loginState{begun: start, goal: goalOfPage(a.gates[1].(*Gate))}
	text := resealed(t, a.service, &state, forLoginState, "app.example", a.service.sealedFor)
	a.visit(a.back(a.token(), text)).checkSentOn(t, "/page")
}

func hexOf(c byte) string { return string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]) }

// One other character anywhere makes a state none.
func TestTamperedState(t *testing.T) {
	a := startLogin(t, loginGate())
	for i := range a.state() {
		for _, c := range "AaZ9-_" {
			if tampered := a.state()[:i] + string(c) + a.state()[i+1:]; tampered != a.state() {
				o := a.visit(a.back(a.token(), tampered), "Sec-Fetch-Mode: cors")
				o.checkDenied(t, http.StatusUnauthorized, "no_token")
			}
		}
	}
	a.returns().checkSentOn(t, "/page?x=1")
	a.visit("/page?x=1").checkAllowed(t)
}

// A return counts once. What it was good for goes on being good.
func TestReplayedReturn(t *testing.T) {
	for name, gate := range map[string]Gate{"session": loginGate(withSession), "token": loginGate()} {
		t.Run(name, func(t *testing.T) {
			a := startLogin(t, gate)
			a.returns().checkSentOn(t, "/page?x=1")
			for range 2 {
				o := a.returns()
				o.checkSentOn(t, "/page?x=1")
				for _, set := range o.Result().Cookies() {
					if set.Value != "" && set.Name != "bws_login_outcome" {
						t.Errorf("another return sets %s", set)
					}
				}
			}
			a.visit("/page?x=1").checkAllowed(t)
			thief := a.site.browser(t, a.gates...)
			thief.visit(backFrom(a.ui, "")).checkSentOn(t, "/page?x=1")
			thief.visit("/page?x=1").checkPage(t, http.StatusUnauthorized, "no_token")
		})
	}
}

// Nobody gets into another person's session by logging in beside it, nor loses it.
func TestReturnBesideAnothersSession(t *testing.T) {
	s := newSite(t)
	b := s.browser(t, s.gate(t, loginGate(withSession)))
	bobs := send(t, get("X-BWS-Token: "+s.tokenOfBob()), s.gate(t, keeping))
	b.jar.SetCookies(&url.URL{Scheme: "http", Host: "app.example"}, bobs.Result().Cookies())
	b.visit("/page").checkPage(t, http.StatusForbidden, "bcid_not_allowed")
	o := b.logIn("/page?", bwstest.Outcome{Success: true})
	o.checkSentOn(t, "/page")
	if set := o.cookies(t); set["bws_session"] != nil {
		t.Errorf("the return sets %s", set["bws_session"])
	}
	b.visit("/page").checkPage(t, http.StatusForbidden, "bcid_not_allowed")
}

// The return itself reaches nobody, and spends nothing.
func TestReturnSpendsNothing(t *testing.T) {
	a := startLogin(t, loginGate(withOnce()))
	a.returns().checkSentOn(t, "/page?x=1")
	a.visit("/page?x=1").checkAllowed(t)
	a.visit("/page?x=1").sentTo(t)
}

func TestReturnByHead(t *testing.T) {
	a := startLogin(t, loginGate())
	r := navigation(backFrom(a.ui, ""))
	r.Method = http.MethodHead
	a.browser.send(r).checkSentOn(t, "/page?x=1")
	a.visit("/page?x=1").checkAllowed(t)
}

// Whatever other handlers make of the path, the browser comes back to what it has asked for.
func TestReturnToRewrittenPaths(t *testing.T) {
	s := newSite(t)
	rewriting := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery = "/index.php", "", "path="+r.URL.Path
		return next.ServeHTTP(w, r)
	})
	b := s.browser(t, rewriting, s.gate(t, loginGate()))
	const asked = "/wiki/a%2Fb%20c?do=edit"
	b.logIn(asked, bwstest.Outcome{Success: true}).checkSentOn(t, asked)
	o := b.visit(asked)
	o.checkAllowed(t)
	if o.app.URL.Path != "/index.php" || strings.Contains(o.app.URL.RawQuery, "state") {
		t.Errorf("the app gets %s", o.app.URL)
	}
	o = b.visit("/wiki/other")
	o.checkAllowed(t)
}

// A state has 512 characters at most. A query for which there is no room is dropped, whole.
func TestReturnWithLongQueries(t *testing.T) {
	kept := 0
	for length := 0; length < 400; length += 7 {
		query := strings.Repeat("x", length)
		s := newSite(t)
		b := s.browser(t, s.gate(t, loginGate()))
		ui := b.visit("/page?" + query + "=1").sentTo(t)
		if state := ui.Get("state"); len(state) > 512 {
			t.Fatalf("the state has %d characters", len(state))
		}
		s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
		switch location := b.visit(backFrom(ui, "")).Header().Get("Location"); location {
		case "/page?" + query + "=1":
			kept = length
		case "/page":
		default:
			t.Errorf("%d characters lead to %q", length, location)
		}
	}
	if kept < 150 || kept > 390 {
		t.Errorf("%d characters are kept", kept)
	}
}

// A strict session does not come along from the camera page. The page that leads on by itself has it come along.
func TestReturnToAStrictSession(t *testing.T) {
	const led = "Sec-Fetch-Site: cross-site"
	s := newSite(t)
	b := s.browser(t, s.gate(t, loginGate(func(g *Gate) { g.Session = &Session{SameSite: "strict"} })))
	b.logIn("/page", bwstest.Outcome{Success: true}).checkSentOn(t, "/page")
	for name, target := range map[string]string{"led here": "/page", "led to another page": "/other", "by a click": "/page?"} {
		o := send(t, navigation(target, led), b.gates...)
		if !strings.Contains(o.Body.String(), `<meta http-equiv="refresh" content="0">`) || o.app != nil {
			t.Errorf("%s: got %d %s", name, o.Code, o.Body)
		}
	}
	b.visit("/page", "Sec-Fetch-Site: same-origin").checkAllowed(t)
	send(t, navigation("/page", "Sec-Fetch-Site: same-origin"), b.gates...).sentTo(t)
}

// resealed is a state as it would be sealed for something, somewhere.
func resealed(t testing.TB, s *Service, state *loginState, where ...string) string {
	t.Helper()
	text, err := state.seal(s.loginKeys(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	content, ok := sealed.Open(t.Context(), s.loginKeys(), text, forLoginState, "", "")
	if !ok {
		t.Fatal("the state does not open")
	}
	text, err = sealed.Seal(s.loginKeys(), content, where...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Neither what a login is begun with nor what it ends with is in the log.
func TestLoginLog(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate(withSession))
	core, logs := observer.New(zap.DebugLevel)
	g.logger = zap.New(core)
	b := s.browser(t, g)
	secrets := []string{alice.String(), bwstest.AppSecret}
	for _, performed := range []bwstest.Outcome{{}, {Success: true}} {
		o := b.visit("/page?secret=1&")
		ui := o.sentTo(t)
		s.Perform(ui.Get("access_token"), performed)
		back := b.visit(backFrom(ui, ""))
		secrets = append(secrets, ui.Get("access_token"), ui.Get("state"), "secret")
		for _, cookie := range append(o.Result().Cookies(), back.Result().Cookies()...) {
			if cookie.Value != "" {
				secrets = append(secrets, cookie.Value)
			}
		}
	}
	b.visit("/page").checkAllowed(t)
	var said []string
	for _, line := range logs.All() {
		said = append(said, strings.TrimSpace(line.Message+" "+line.ContextMap()["reason"].(string)))
	}
	want := "login begun no_token, login ended not_recognized, login begun no_token, login ended, allowed"
	if got := strings.Join(said, ", "); got != want {
		t.Errorf("the log says %s\nwant %s", got, want)
	}
	checkLogKeeps(t, logs.All(), secrets)
}
