package caddybws

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Security case 58, for logins.
func TestLoginCookies(t *testing.T) {
	for name, test := range map[string]struct {
		secure    bool
		gate      Gate
		performed bool
		want      map[string]int // names, and for how long they are kept after the return
	}{
		"plain":           {false, loginGate(), true, map[string]int{"bws_login_token": 600}},
		"TLS":             {true, loginGate(), true, map[string]int{"__Host-bws_login_token": 600}},
		"session":         {false, loginGate(withSession), true, map[string]int{"bws_session": 900}},
		"session and TLS": {true, loginGate(withSession), true, map[string]int{"__Host-bws_session": 900}},
		"failed":          {false, loginGate(), false, map[string]int{"bws_login_outcome": 120}},
		"failed, TLS":     {true, loginGate(withSession), false, map[string]int{"__Host-bws_login_outcome": 120}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			b := s.browser(t, s.gate(t, test.gate))
			visit := func(target string) *outcome {
				r := navigation(target)
				if test.secure {
					r.TLS = &tls.ConnectionState{HandshakeComplete: true}
				}
				return b.send(r)
			}
			prefix := "bws_login"
			if test.secure {
				prefix = "__Host-bws_login"
			}
			checkAttributes := func(set *http.Cookie) {
				t.Helper()
				if set.Secure != test.secure || !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Path != "/" || set.Domain != "" {
					t.Errorf("the cookie is %s", set)
				}
			}
			o := visit("/page")
			ui, begun := o.sentTo(t), o.cookies(t)
			binding := ""
			for name, set := range begun {
				checkAttributes(set)
				switch {
				case name == prefix+"_outcome" && set.MaxAge < 0:
				case strings.HasPrefix(name, prefix+"_at_") && len(name) == len(prefix+"_at_")+8 && set.MaxAge == 600 && len(set.Value) >= 26:
					binding = name
				default:
					t.Errorf("a login begins with %s", set)
				}
			}
			if binding == "" {
				t.Fatalf("a login begins with %v", begun)
			}
			s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: test.performed})
			returned := visit(strings.Replace(backFrom(ui, ""), "https://app.example", "", 1)).cookies(t)
			if set := returned[binding]; set == nil || set.MaxAge >= 0 || set.Value != "" {
				t.Errorf("the binding is not cleared: %v", returned)
			}
			for name, set := range returned {
				checkAttributes(set)
				if age := test.want[name]; set.MaxAge >= 0 && set.MaxAge != age || len(set.Value) > 4000 {
					t.Errorf("a login ends with %s", set)
				}
			}
			for name := range test.want {
				if returned[name] == nil {
					t.Errorf("a login ends with %v, without %s", returned, name)
				}
			}
		})
	}
}

// Security case 70: the oldest logins under way make room.
func TestLoginBindingsAreBounded(t *testing.T) {
	s := newSite(t)
	b := s.browser(t, s.gate(t, loginGate()))
	var begun []url.Values
	for i := range 20 {
		begun = append(begun, b.visit(fmt.Sprint("/", i)).sentTo(t))
		if names := b.has(); len(names) > maxBindings {
			t.Fatalf("the browser keeps %q", names)
		}
	}
	for i, ui := range begun {
		s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
		target := fmt.Sprint("/", i)
		o := b.visit(backFrom(ui, ""))
		o.checkSentOn(t, target)
		good := o.cookies(t)["bws_login_token"] != nil
		if want := i >= len(begun)-maxBindings; good != want {
			t.Errorf("login %d counts: %v", i, good)
		}
	}
}

// Security case 70: each of the tabs that a browser opens at once comes to its own page.
func TestTenTabs(t *testing.T) {
	s := newSite(t)
	b := s.browser(t, s.gate(t, loginGate(withSession)))
	const tabs = 10
	uis := make([]url.Values, tabs)
	var opened sync.WaitGroup
	for i := range tabs {
		opened.Go(func() { uis[i] = b.visit(fmt.Sprint("/", i)).sentTo(t) })
	}
	opened.Wait()
	for i, ui := range uis {
		opened.Go(func() {
			s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
			b.visit(backFrom(ui, "")).checkSentOn(t, fmt.Sprint("/", i))
			b.visit(fmt.Sprint("/", i)).checkAllowed(t)
		})
	}
	opened.Wait()
	if names := b.has(); len(names) != 1 {
		t.Errorf("the browser keeps %q", names)
	}
}

// loggedIn returns the value of the cookie that a login of Alice's has left.
func (s *site) loggedIn(t testing.TB, g *Gate) string {
	t.Helper()
	o := s.browser(t, g).logIn("/page", bwstest.Outcome{Success: true})
	set := o.cookies(t)["bws_login_token"]
	if set == nil {
		t.Fatalf("the login ends with %q", o.Header())
	}
	return set.Value
}

// Security case 117: only what a login has put there counts. Everything else is as if it were absent.
func TestPlantedToken(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate())
	mine, good := s.loggedIn(t, g), s.goodToken()
	proof := mine[strings.LastIndexByte(mine, '.'):]
	prove := func(s *Service, host, token string) string {
		r := get()
		r.Host = host
		value, err := proveLoginToken(s, r, token, keyOf(token))
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	here := s.service
	there := newSite(t).service
	there.sealedFor = "other"
	elsewhere := *here
	elsewhere.sealedFor = "other"
	const cookie = "Cookie: bws_login_token="
	for name, test := range map[string]struct {
		header  string
		allowed bool
	}{
		"its own":                     {cookie + mine, true},
		"proven here":                 {cookie + prove(here, "app.example", good), true},
		"proven on another port":      {cookie + prove(here, "APP.example:8080", good), true},
		"its own, twice":              {cookie + mine + "; bws_login_token=" + mine, true},
		"without a proof":             {cookie + good, false},
		"with an empty proof":         {cookie + good + ".", false},
		"with a forged proof":         {cookie + good + "." + strings.Repeat("A", 120), false},
		"with another's proof":        {cookie + good + proof, false},
		"with half a proof":           {cookie + mine[:len(mine)-5], false},
		"with a tampered proof":       {cookie + tampered(mine), false},
		"with more behind":            {cookie + mine + ".x", false},
		"proven for another host":     {cookie + prove(here, "other.example", good), false},
		"proven for another service":  {cookie + prove(&elsewhere, "app.example", good), false},
		"proven with other keys":      {cookie + prove(there, "app.example", good), false},
		"a proof alone":               {cookie + proof, false},
		"dots":                        {cookie + "...", false},
		"1 MB":                        {cookie + strings.Repeat("A", 1<<20), false},
		"the secure one, in plain":    {"Cookie: __Host-bws_login_token=" + mine, false},
		"in the default cookie":       {"Cookie: bws_token=" + good, false},
		"proven, in default cookie":   {"Cookie: bws_token=" + mine, false},
		"in the default header":       {"X-BWS-Token: " + good, false},
		"proven, in default header":   {"X-BWS-Token: " + mine, false},
		"as a bearer":                 {"Authorization: Bearer " + good, false},
		"as an outcome":               {"Cookie: bws_login_outcome=" + mine, false},
		"as a session":                {"Cookie: bws_session=" + mine, false},
		"the proof in another cookie": {cookie + good + "; bws_login_outcome=" + proof, false},
	} {
		t.Run(name, func(t *testing.T) {
			s.service.verifier.ForgetAll()
			asked := s.Calls("/result")
			o := send(t, get(test.header), g)
			if test.allowed {
				o.checkAllowed(t)
				return
			}
			o.checkDenied(t, http.StatusUnauthorized, "no_token")
			if calls := s.Calls("/result") - asked; calls != 0 {
				t.Errorf("BWS was asked %d times", calls)
			}
		})
	}
	other := prove(here, "app.example", good)
	for _, twice := range []string{mine + "; bws_login_token=" + other, "x; bws_login_token=" + mine, mine + "; bws_login_token=x"} {
		send(t, get(cookie+twice), g).checkDenied(t, http.StatusBadRequest, "ambiguous_token")
	}
}

// What token names goes on counting beside a login.
func TestLoginBesideTokenSources(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate(func(g *Gate) { g.Token = []TokenSource{{Header: "X-BWS-Token"}} }))
	send(t, get("X-BWS-Token: "+s.goodToken()), g).checkAllowed(t)
	send(t, get("Cookie: bws_token="+s.goodToken()), g).checkDenied(t, http.StatusUnauthorized, "no_token")
	mine := "Cookie: bws_login_token=" + s.loggedIn(t, g)
	send(t, get(mine, "X-BWS-Token: x"), g).checkAllowed(t)
}

// With a login's cookies an app could do what the person can.
func TestAppSeesNoLoginCookies(t *testing.T) {
	s := newSite(t)
	g, plain := s.gate(t, loginGate()), s.gate(t, Gate{})
	mine := s.loggedIn(t, g)
	cookies := "Cookie: a=1; bws_login_token=" + mine + "; bws_login_at_01234567=x; __Host-bws_login_token=" + mine +
		"; b=2; __Host-bws_login_at_89abcdef=x; bws_login_outcome=x; __Host-bws_login_outcome=x; bws_login=x; bws_log=3; bws_token=x"
	for name, test := range map[string]struct {
		gate    *Gate
		headers []string
	}{
		"with a login":    {g, []string{cookies}},
		"without":         {plain, []string{cookies, "X-BWS-Token: " + s.goodToken()}},
		"only reporting":  {s.gate(t, reporting(loginGate())), []string{cookies}},
		"reporting plain": {s.gate(t, reporting(Gate{})), []string{cookies}},
	} {
		t.Run(name, func(t *testing.T) {
			headers := test.headers
			if test.gate == plain {
				headers = []string{strings.TrimSuffix(cookies, "; bws_token=x"), headers[1]}
			}
			o := send(t, get(headers...), test.gate)
			o.checkAllowed(t)
			if got := o.app.Header["Cookie"]; len(got) != 1 || got[0] != "a=1; b=2; bws_log=3" {
				t.Errorf("the app gets %q", got)
			}
			for name, lines := range o.app.Header {
				if strings.Contains(strings.Join(lines, "\n"), mine[:50]) {
					t.Errorf("the app gets %s: %q", name, lines)
				}
			}
		})
	}
}

// An answer to one person's cookies is none for another's.
func TestLoginVaries(t *testing.T) {
	s := newSite(t)
	for name, gate := range map[string]Gate{
		"login":        loginGate(),
		"with session": loginGate(withSession),
		"with header":  loginGate(func(g *Gate) { g.Token = []TokenSource{{Header: "X-BWS-Token"}} }),
	} {
		b := s.browser(t, s.gate(t, gate))
		b.logIn("/page", bwstest.Outcome{Success: true}).checkSentOn(t, "/page")
		o := b.visit("/page")
		o.checkAllowed(t)
		if vary := o.Header().Get("Vary"); !strings.Contains(vary, "Cookie") || o.Header().Get("Cache-Control") != "private" {
			t.Errorf("%s: the header is %q", name, o.Header())
		}
	}
}

// Any cookies may come along with a return or without one. None of them gets anybody in who has not performed, and none makes the
// gate panic or forget its own answer.
func FuzzLoginCookies(f *testing.F) {
	s := newSite(f)
	s.service = newService(f, inProcess{s.Service}, s.clock.Now, unlimited)
	g := s.gate(f, loginGate(withSession))
	ui := send(f, navigation("/page"), g).sentTo(f)
	token, back := ui.Get("access_token"), backFrom(ui, "")
	for _, cookies := range []string{
		"bws_login_token=" + token, "bws_login_token=" + token + "." + token, "bws_login_token=...; bws_login_outcome=x",
		"bws_login_at_00000000=x; bws_login_at_00000000=y; bws_login_at_", "bws_session=" + token + "; __Host-bws_login_token=a.b.c.d",
		strings.Repeat("bws_login_at_0=;", 40),
	} {
		f.Add(cookies, true)
		f.Add(cookies, false)
	}
	f.Fuzz(func(t *testing.T, cookies string, returns bool) {
		target := "/page"
		if returns {
			target = back
		}
		r := navigation(target)
		r.Header["Cookie"] = []string{cookies}
		o := send(t, r, g)
		if o.app != nil || o.err != nil || o.Code < 300 || o.Code >= 500 {
			t.Fatalf("%q: got %d, %v, app reached: %v", cookies, o.Code, o.err, o.app != nil)
		}
	})
}
