package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Logins as an attacker would have them: with requests that no browser sends, and with steps that are left out or changed.

// rawBrowser navigates on a site, byte by byte, and keeps cookies in the order in which they were set.
type rawBrowser struct {
	s    *gatedSite
	host string
	// agent is what it says that it is, which tells browsers without cookies apart.
	agent   string
	cookies []*http.Cookie
}

// browsers counts those of all tests.
var browsers atomic.Int64

// startOpenLoginSite runs a site with logins that takes requests for any host.
func startOpenLoginSite(t *testing.T, directives string) *gatedSite {
	t.Helper()
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	service.Enroll(alice)
	addr := freeAddr(t)
	c := startCaddy(t, serviceOption("", service.URL, "failure_ttl 0", "client_rate 100000 1m"),
		"http://:"+addr[strings.LastIndexByte(addr, ':')+1:]+" {\n"+strings.ReplaceAll(directives, "{ui}", service.UI)+
			"\n\treverse_proxy "+app.Listener.Addr().String()+"\n}")
	c.Addr = addr
	return &gatedSite{c, t, service, app}
}

func (s *gatedSite) browser(host string) *rawBrowser {
	return &rawBrowser{s: s, host: host, agent: fmt.Sprint("browser ", browsers.Add(1))}
}

// get sends a request for a target as it is written, and keeps the cookies that come.
func (b *rawBrowser) get(t *testing.T, target string, headers ...string) *answer {
	t.Helper()
	var pairs []string
	for _, cookie := range b.cookies {
		pairs = append(pairs, cookie.Name+"="+cookie.Value)
	}
	lines := []string{"GET " + target + " HTTP/1.1", "Host: " + b.host, "Connection: close", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "User-Agent: " + b.agent}
	if pairs != nil {
		lines = append(lines, "Cookie: "+strings.Join(pairs, "; "))
	}
	got := sendRaw(t, b.s.Addr, strings.Join(append(lines, headers...), "\n")+"\n\n")
	for _, cookie := range got.Cookies() {
		b.cookies = slices.DeleteFunc(b.cookies, func(old *http.Cookie) bool { return old.Name == cookie.Name })
		if cookie.MaxAge > 0 {
			b.cookies = append(b.cookies, cookie)
		}
	}
	return got
}

// begins has a target send the browser to the camera page, and returns what the page is given.
func (b *rawBrowser) begins(t *testing.T, target string, headers ...string) url.Values {
	t.Helper()
	got := b.get(t, target, headers...)
	query, ok := strings.CutPrefix(got.Header.Get("Location"), b.s.service.UI+"?")
	if !ok || got.StatusCode != http.StatusSeeOther || got.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: got %d %q %s", target, got.StatusCode, got.Header, got.Body)
	}
	given, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return given
}

// back is the target by which the camera page returns.
func (b *rawBrowser) back(t *testing.T, given url.Values) string {
	t.Helper()
	target, ok := strings.CutPrefix(given.Get("return_url"), "http://"+b.host)
	if !ok {
		t.Fatalf("the way back from http://%s is %s", b.host, given.Get("return_url"))
	}
	return target + "?access_token=" + given.Get("access_token") + "&state=" + given.Get("state") + "&skipintro=false"
}

// succeeds has the operation of a login succeed.
func (s *gatedSite) succeeds(given url.Values) {
	s.service.Perform(given.Get("access_token"), success)
}

// isLocal reports whether a browser takes a Location for a path of the site it is on, without any doubt.
func isLocal(location string) bool {
	path, _, _ := strings.Cut(location, "?")
	odd := func(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }
	return strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.ContainsFunc(path, odd)
}

// ends follows redirects within the site, and returns where they end. A redirect to anywhere but the camera page is an error.
func (b *rawBrowser) ends(t *testing.T, target string) *answer {
	t.Helper()
	for range 4 {
		got := b.get(t, target)
		location := got.Header.Get("Location")
		if location == "" || strings.HasPrefix(location, b.s.service.UI+"?") {
			return got
		}
		if !isLocal(location) {
			t.Fatalf("%s leads to %q", target, location)
		}
		target = location
	}
	t.Fatalf("%s goes round in circles", target)
	return nil
}

// odd are targets that lead a careless server, or a careless browser, to another site.
func odd(t *testing.T) (targets []string) {
	t.Helper()
	for line := range strings.Lines(readFile(t, "../testdata/open_redirects.txt")) {
		if target, err := strconv.Unquote(`"` + strings.TrimSuffix(line, "\n") + `"`); err == nil && !strings.HasPrefix(line, "# ") {
			targets = append(targets, target)
		}
	}
	if len(targets) < 120 {
		t.Fatalf("there are %d targets", len(targets))
	}
	return targets
}

// Whatever path a login begins at, it leads to the camera page and back to that site, or there is none.
func TestLoginsLeadNowhereElse(t *testing.T) {
	covers(t, 65)
	t.Parallel()
	s := startOpenLoginSite(t, aliceLogsIn)
	returned := 0
	for _, target := range odd(t) {
		if strings.ContainsAny(target, "\r\n") {
			continue // that is two lines, and not a request
		}
		b := s.browser("app.example")
		got := b.get(t, target)
		location := got.Header.Get("Location")
		if location == "" {
			if got.StatusCode < 400 || len(s.app.take()) > 0 {
				t.Errorf("%q: got %d %s", target, got.StatusCode, got.Body)
			}
			continue
		}
		query, ok := strings.CutPrefix(location, s.service.UI+"?")
		given, err := url.ParseQuery(query)
		if !ok || err != nil {
			t.Errorf("%q leads to %q", target, location)
			continue
		}
		if absolute, err := url.Parse(target); err == nil && absolute.Scheme != "" && absolute.Host != "" {
			b.host = absolute.Host // an absolute URL takes the place of Host
		}
		back := b.back(t, given)
		if !isLocal(back) {
			t.Errorf("%q comes back to %q", target, back)
			continue
		}
		s.succeeds(given)
		if got := b.ends(t, back); got.StatusCode != http.StatusOK {
			t.Errorf("%q ends with %d %s", target, got.StatusCode, got.Body)
		}
		s.app.take()
		returned++
	}
	if returned < 30 {
		t.Errorf("only %d targets have come back", returned)
	}
}

// A login belongs to the host at which it began, by the name that the browser has for it. What other headers say does not count.
func TestLoginsBelongToTheirHost(t *testing.T) {
	covers(t, 66, 68)
	s := startOpenLoginSite(t, aliceLogsIn)
	lies := []string{"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443", "Forwarded: host=evil.example;proto=https",
		"X-Original-Host: evil.example", "X-Forwarded-Prefix: //evil.example", "Origin: https://evil.example", "Referer: https://evil.example/"}
	b := s.browser("app.example")
	given := b.begins(t, "/page?x=1", lies...)
	s.succeeds(given)
	back := b.back(t, given)
	for _, host := range []string{"evil-app.example", "app.example.evil.example", "example", "app.exampl", "sub.app.example"} {
		elsewhere := s.browser(host)
		elsewhere.cookies = b.cookies
		if got := elsewhere.ends(t, back); !strings.HasPrefix(got.Header.Get("Location"), s.service.UI) || len(s.app.take()) > 0 {
			t.Errorf("%s: got %d %s", host, got.StatusCode, got.Body)
		}
		if slices.ContainsFunc(elsewhere.cookies, func(c *http.Cookie) bool { return c.Name == "bws_session" }) {
			t.Errorf("%s: there is a session", host)
		}
	}
	if got := b.ends(t, back); got.StatusCode != http.StatusOK || s.reached(t).RequestURI != "/page?x=1" {
		t.Errorf("got %d %s", got.StatusCode, got.Body)
	}
	for _, host := range []string{"app.example/x", "app.example@evil.example", `app.example\x`, "a,b", "app.example:x", "[::1", "a%2fb"} {
		got := s.browser(host).get(t, "/page")
		if got.StatusCode < 400 || got.Header.Get("Location") != "" {
			t.Errorf("%s: got %d %q", host, got.StatusCode, got.Header)
		}
	}
}

// A return counts in the browser in which its login began, with what it was given there, once, and not at all otherwise.
func TestReturnsThatDoNotCount(t *testing.T) {
	covers(t, 69)
	s := startOpenLoginSite(t, aliceLogsIn)
	const anew = "" // the browser is sent to the camera page once more
	for name, test := range map[string]struct {
		change func(b *rawBrowser, back, token, state string) string
		reason string
	}{
		"another browser": {func(b *rawBrowser, back, _, _ string) string { b.cookies = nil; return back }, "no_token"},
		"no state":        {func(_ *rawBrowser, _, token, _ string) string { return "/page?access_token=" + token }, anew},
		"an empty state":  {func(_ *rawBrowser, _, token, _ string) string { return "/page?state=&access_token=" + token }, anew},
		"two states":      {func(_ *rawBrowser, back, _, state string) string { return back + "&state=" + state }, anew},
		"a changed state": {func(_ *rawBrowser, back, _, state string) string {
			return strings.Replace(back, state, state[:40]+"AAAA"+state[44:], 1)
		}, anew},
		"half a state": {func(_ *rawBrowser, back, _, state string) string { return strings.Replace(back, state, state[:32], 1) }, anew},
		"a huge state": {func(_ *rawBrowser, back, _, state string) string {
			return strings.Replace(back, state, strings.Repeat("A", 8<<10), 1)
		}, anew},
		"another path": {func(_ *rawBrowser, back, _, _ string) string { return "/other" + strings.TrimPrefix(back, "/page") }, anew},
		"no token":     {func(_ *rawBrowser, _, _, state string) string { return "/page?state=" + state }, "contradiction"},
		"two tokens":   {func(_ *rawBrowser, back, token, _ string) string { return back + "&access_token=" + token }, "contradiction"},
		"another token": {func(_ *rawBrowser, back, token, _ string) string {
			return strings.Replace(back, token, s.goodToken(), 1)
		}, "contradiction"},
		"a token of Bob's": {func(_ *rawBrowser, back, token, _ string) string {
			return strings.Replace(back, token, goodOf(s.service.Service, bob), 1)
		}, "contradiction"},
		"a huge token": {func(_ *rawBrowser, back, token, _ string) string {
			return strings.Replace(back, token, strings.Repeat("e30.", 2<<10), 1)
		}, "contradiction"},
		"used already": {func(b *rawBrowser, back, _, _ string) string {
			b.get(t, back)
			b.cookies = slices.DeleteFunc(b.cookies, func(c *http.Cookie) bool { return c.Name == "bws_session" })
			return back
		}, "no_token"},
	} {
		t.Run(name, func(t *testing.T) {
			b := s.browser("app.example")
			given := b.begins(t, "/page?x=1")
			s.succeeds(given)
			got := b.ends(t, test.change(b, b.back(t, given), given.Get("access_token"), given.Get("state")))
			if reached := s.app.take(); len(reached) > 0 {
				t.Errorf("the app is reached: %s", reached[0].RequestURI)
			}
			sentAnew := strings.HasPrefix(got.Header.Get("Location"), s.service.UI)
			if sentAnew != (test.reason == anew) || test.reason != anew && !strings.Contains(got.Body, "<code>"+test.reason+"</code>") {
				t.Errorf("got %d %q %s, want %q", got.StatusCode, got.Header, got.Body, test.reason)
			}
			if slices.ContainsFunc(b.cookies, func(c *http.Cookie) bool { return c.Name == "bws_session" }) {
				t.Error("there is a session")
			}
		})
	}
}

// Nobody is let into what is somebody else's: not by their login, their token, or their session.
func TestFixation(t *testing.T) {
	covers(t, 56, 117)
	s := startOpenLoginSite(t, strings.ReplaceAll(aliceLogsIn, "\t\tsession\n", "")+`
	bws /bound* {
		bcid bioid/9876/{http.request.header.X-User}
		session
	}`)
	attacker, victim := s.browser("app.example"), s.browser("app.example")
	given := attacker.begins(t, "/page")
	s.succeeds(given)
	back := attacker.back(t, given)

	got := victim.ends(t, back)
	if !strings.Contains(got.Body, "<code>no_token</code>") || len(s.app.take()) > 0 {
		t.Errorf("with the attacker's way back: got %d %s", got.StatusCode, got.Body)
	}
	planted := s.goodToken()
	for _, header := range []string{"Cookie: bws_token=" + planted, "Cookie: bws_login_token=" + planted, "X-BWS-Token: " + planted, "Authorization: Bearer " + planted} {
		if got := s.browser("app.example").get(t, "/page", header); !strings.HasPrefix(got.Header.Get("Location"), s.service.UI) || len(s.app.take()) > 0 {
			t.Errorf("%s: got %d %s", header[:20], got.StatusCode, got.Body)
		}
	}
	if got := attacker.ends(t, back); got.StatusCode != http.StatusOK {
		t.Fatalf("the attacker himself got %d %s", got.StatusCode, got.Body)
	}
	s.app.take()

	// Where a first factor says who it is, nobody else's session opens anything.
	attackers := begin(t, "http://"+s.Addr+"/bound", append(good(s.service), "X-User: 12345"))
	s.app.take()
	s.checkKeptOut(t, do(t, http.MethodGet, "http://"+s.Addr+"/bound", attackers, "X-User: 12346"), "bcid_not_allowed")
	// Each token begins a session of its own.
	if another := begin(t, "http://"+s.Addr+"/bound", append(good(s.service), "X-User: 12345")); another == attackers {
		t.Error("two tokens have begun one session")
	}
}

// Of the logins that a browser begins at once, each comes to its own page, as long as there is room for them in a request.
func TestManyLoginsAtOnce(t *testing.T) {
	covers(t, 70)
	const tabs, room = 40, 16
	s := startOpenLoginSite(t, aliceLogsIn)
	b := s.browser("app.example")
	backs := make([]string, tabs)
	for i := range backs {
		given := b.begins(t, fmt.Sprintf("/page?tab=%d", i))
		s.succeeds(given)
		backs[i] = b.back(t, given)
	}
	if len(b.cookies) > room {
		t.Errorf("the browser keeps %d cookies", len(b.cookies))
	}
	for i, back := range backs {
		got := b.get(t, back)
		want := fmt.Sprintf("/page?tab=%d", i)
		if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != want {
			t.Errorf("got %d to %q, want %s", got.StatusCode, got.Header.Get("Location"), want)
		}
		if begun := slices.ContainsFunc(got.Cookies(), func(c *http.Cookie) bool { return c.Name == "bws_session" }); begun != (i >= tabs-room) {
			t.Errorf("login %d has begun a session: %v", i, begun)
		}
	}
}

// Only a browser that shows a page in a window of its own is sent to the camera page. Everybody else is told.
func TestWhoIsSentToCapture(t *testing.T) {
	covers(t, 71, 123)
	s := startOpenLoginSite(t, aliceLogsIn)
	for name, test := range map[string]struct{ line, headers string }{
		"fetch":         {"GET", "Sec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\nAccept: text/html"},
		"a frame":       {"GET", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe"},
		"an old script": {"GET", "Accept: text/html\nX-Requested-With: XMLHttpRequest"},
		"events":        {"GET", "Accept: text/event-stream"},
		"an API":        {"GET", "Accept: application/json"},
		"a form":        {"POST", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nContent-Length: 0"},
		"HEAD":          {"HEAD", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document"},
		"a WebSocket":   {"GET", "Sec-Fetch-Mode: websocket\nConnection: Upgrade\nUpgrade: websocket"},
		"a prefetch":    {"GET", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nSec-Purpose: prefetch"},
	} {
		t.Run(name, func(t *testing.T) {
			got := sendRaw(t, s.Addr, test.line+" /page HTTP/1.1\nHost: app.example\n"+test.headers+"\n\n")
			if got.StatusCode != http.StatusUnauthorized || got.Header.Get("Location") != "" || len(got.Cookies()) > 0 ||
				!strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "BWS ") || len(s.app.take()) > 0 {
				t.Errorf("got %d %q %s", got.StatusCode, got.Header, got.Body)
			}
		})
	}
	if calls := s.service.Calls("/token"); calls > 0 {
		t.Errorf("%d tokens were requested", calls)
	}
}

// A browser that keeps no cookies, or a camera page behind the gate, ends at a page that says so.
func TestLoginsEnd(t *testing.T) {
	covers(t, 72)
	t.Parallel()
	s := startOpenLoginSite(t, aliceLogsIn)
	forgetful := s.browser("app.example")
	given := forgetful.begins(t, "/page")
	s.succeeds(given)
	target := forgetful.back(t, given)
	for step := 0; ; step++ {
		forgetful.cookies = nil
		got := forgetful.get(t, target)
		if got.StatusCode == http.StatusUnauthorized {
			break
		}
		target = got.Header.Get("Location")
		if step > 3 || !isLocal(target) {
			t.Fatalf("without cookies, step %d leads with %d to %q", step, got.StatusCode, target)
		}
	}
	behind := startOpenLoginSite(t, strings.ReplaceAll(aliceLogsIn, "{ui}", "http://localhost/capture"))
	b := behind.browser("localhost")
	if got := b.get(t, "/page"); !strings.HasPrefix(got.Header.Get("Location"), "http://localhost/capture?access_token=") {
		t.Fatalf("got %d %q", got.StatusCode, got.Header)
	}
	if got := b.get(t, "/capture?access_token=x"); got.StatusCode != http.StatusUnauthorized || got.Header.Get("Location") != "" {
		t.Errorf("from the camera page, one is sent with %d to %q", got.StatusCode, got.Header.Get("Location"))
	}
}

// Denial pages repeat nothing that somebody else may have written.
func TestPagesRepeatNothing(t *testing.T) {
	covers(t, 73)
	s := startOpenLoginSite(t, aliceLogsIn)
	const markup = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	encoded := url.PathEscape(markup)
	s.service.ScriptAlways("/token", bwstest.Answer{Status: http.StatusForbidden, Body: []byte(markup)})
	for _, target := range []string{"/" + encoded, "/page?" + encoded, "/?error=" + encoded, `/"><script>alert(1)</script>`} {
		got := s.browser("app.example").get(t, target, "Referer: http://x.example/"+markup, "X-Forwarded-Host: "+markup, "Accept-Language: "+markup)
		lower := strings.ToLower(got.Body)
		if got.StatusCode < 400 || strings.Contains(lower, "<script") || strings.Contains(lower, "<img") || strings.Contains(lower, "alert(1)<") {
			t.Errorf("%s: got %d %s", target, got.StatusCode, got.Body)
		}
		policy := got.Header.Get("Content-Security-Policy")
		if got.Header.Get("Content-Type") == "text/html; charset=utf-8" && (!strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'")) {
			t.Errorf("%s: the page's policy is %q", target, policy)
		}
	}
}
