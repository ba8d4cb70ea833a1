package caddybws

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/sealed"
)

// ended returns the cookie of a browser whose login has just ended so.
func (s *site) ended(t testing.TB, g *Gate, r *http.Request, outcome loginOutcome) string {
	t.Helper()
	keep := handlerFunc(func(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
		v := visitOf(r, r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
		return g.keepOutcome(w, &inquiry{Request: r, visit: v, now: s.clock.Now()}, askedURL(r), outcome)
	})
	set := send(t, r, keep).cookies(t)["bws_login_outcome"]
	if set == nil || set.MaxAge != 120 || !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Path != "/" {
		t.Fatalf("the outcome is kept as %v", set)
	}
	return "Cookie: " + set.Name + "=" + set.Value
}

// Security case 73: what a page says of an outcome is from a closed list, as often as it is loaded.
func TestLoginOutcomePage(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate())
	check := func(outcome loginOutcome, status int, reason policy.Reason, title string) {
		t.Helper()
		cookie := s.ended(t, g, navigation("/page"), outcome)
		for _, target := range []string{"/page", "/page?x=%3Cscript%3E"} {
			o := send(t, navigation(target, cookie, "Referer: http://evil.example/<script>"), g)
			o.checkPage(t, status, reason)
			body := o.Body.String()
			if !strings.Contains(body, "<h1>"+title+"</h1>") || strings.Count(body, ">Try again<") != 1 || strings.Contains(body, "<script") {
				t.Errorf("%s: the page says %s", outcome, body)
			}
			if o.Header().Get("Cache-Control") != "no-store" || o.Header().Get("Content-Security-Policy") != pageSecurity {
				t.Errorf("%s: the header is %q", outcome, o.Header())
			}
		}
	}
	for reason, status := range statuses {
		check(loginOutcome(reason), status, reason, denials[reason].title)
	}
	check(outcomeCanceled, http.StatusUnauthorized, "pending", "You have canceled")
	check(outcomeUnbound, http.StatusUnauthorized, "no_token", "Your verification does not count here")
	check("something else", http.StatusInternalServerError, "something else", "Something went wrong")
	if calls := s.Calls("/token"); calls != 0 {
		t.Errorf("%d tokens were asked for", calls)
	}
}

// An outcome keeps the next login from beginning by itself, for its path, and for a while.
func TestLoginOutcomeCounts(t *testing.T) {
	for name, test := range map[string]struct {
		host, target string
		after        time.Duration
		shown        bool
	}{
		"at once":             {"app.example", "/page", 0, true},
		"with another query":  {"app.example", "/page?y=2", 0, true},
		"on another port":     {"APP.example:8080", "/page", 0, true},
		"just before the end": {"app.example", "/page", 2*time.Minute - time.Second, true},
		"after two minutes":   {"app.example", "/page", 2 * time.Minute, false},
		"clock set back":      {"app.example", "/page", -time.Hour, true},
		"by a click":          {"app.example", "/page?", 0, false},
		"by a click, query":   {"app.example", "/page?x=1&", 0, false},
		"another path":        {"app.example", "/other", 0, false},
		"a longer path":       {"app.example", "/page/", 0, false},
		"spelled otherwise":   {"app.example", "/%70age", 0, false},
		"another host":        {"other.example", "/page", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			g := s.gate(t, loginGate())
			cookie := s.ended(t, g, navigation("/page"), "not_recognized")
			s.pass(test.after)
			s.sync(t)
			r := navigation(test.target, cookie)
			r.Host = test.host
			o := send(t, r, g)
			if test.shown {
				o.checkPage(t, http.StatusForbidden, "not_recognized")
				return
			}
			o.sentTo(t)
			if set := o.cookies(t)["bws_login_outcome"]; set == nil || set.MaxAge >= 0 {
				t.Errorf("the outcome is not cleared: %q", o.Header()["Set-Cookie"])
			}
		})
	}
}

// An outcome is a page only for whoever would be sent to log in again.
func TestLoginOutcomeForOthers(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate(withSession))
	cookie := s.ended(t, g, navigation("/page"), "not_recognized")
	send(t, navigation("/page", cookie, "Sec-Fetch-Mode: cors"), g).checkDenied(t, http.StatusUnauthorized, "no_token")
	session := strings.TrimPrefix(send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, keeping)).session(t), "Cookie: ")
	send(t, navigation("/page", cookie+"; "+session), g).checkAllowed(t)
}

func TestForgedLoginOutcome(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate())
	good := strings.TrimPrefix(s.ended(t, g, navigation("/page"), "not_recognized"), "Cookie: bws_login_outcome=")
	seal := func(content []byte, where ...string) string {
		text, err := sealed.Seal(s.service.loginKeys(), content, where...)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	path := pathOf(&url.URL{Path: "/page"})
	content := append(append(make([]byte, 8), path[:]...), "not_recognized"...)
	for name, value := range map[string]string{
		"text":                 "not_recognized",
		"tampered":             tampered(good),
		"cut":                  good[1:],
		"of another":           strings.TrimPrefix(newSite(t).ended(t, g, navigation("/page"), "pending"), "Cookie: bws_login_outcome=")[1:],
		"1 MB":                 strings.Repeat("A", 1<<20),
		"two":                  good + "; bws_login_outcome=x",
		"for another purpose":  seal(content, forLoginState, "app.example", s.service.sealedFor),
		"for another service":  seal(content, forLoginOutcome, "app.example", "other"),
		"empty":                seal(nil, forLoginOutcome, "app.example", s.service.sealedFor),
		"without an outcome":   seal(content[:24], forLoginOutcome, "app.example", s.service.sealedFor),
		"with half a path":     seal(content[:20], forLoginOutcome, "app.example", s.service.sealedFor),
		"of long ago":          seal(content, forLoginOutcome, "app.example", s.service.sealedFor),
		"secure one, in plain": "x; __Host-bws_login_outcome=" + good,
	} {
		t.Run(name, func(t *testing.T) {
			send(t, navigation("/page", "Cookie: bws_login_outcome="+value), g).sentTo(t)
		})
	}
	send(t, navigation("/page", "Cookie: bws_login_outcome="+good), g).checkPage(t, http.StatusForbidden, "not_recognized")
}

// Security case 72: a browser that keeps no cookies is told so, and does not go round in circles.
func TestBrowserWithoutCookies(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate(withSession))
	const agent = "User-Agent: one"
	begin := func() url.Values { return send(t, navigation("/page?x=1", agent), g).sentTo(t) }
	ui := begin()
	s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
	send(t, navigation(backFrom(ui, ""), agent), g).checkSentOn(t, "/page?x=1")
	for range 2 {
		o := send(t, navigation("/page?x=1", agent), g)
		o.checkPage(t, http.StatusUnauthorized, "no_token")
		if !strings.Contains(o.Body.String(), "keeps no cookies") {
			t.Errorf("the page says %s", o.Body)
		}
	}
	// Others are not meant.
	send(t, navigation("/other", agent), g).sentTo(t)
	send(t, navigation("/page", "User-Agent: two"), g).sentTo(t)
	elsewhere := navigation("/page", agent)
	elsewhere.Host = "other.example"
	send(t, elsewhere, g).sentTo(t)
	another := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, "192.0.2.9")
		return next.ServeHTTP(w, r)
	})
	send(t, navigation("/page", agent), another, g).sentTo(t)
	send(t, navigation("/page?", agent), g).sentTo(t)
	s.pass(2*time.Minute - 1)
	send(t, navigation("/page?x=1", agent), g).checkPage(t, http.StatusUnauthorized, "no_token")
	s.pass(1)
	begin()
}

// However many come back without their cookies, the last of them are remembered.
func TestUnboundReturnsAreBounded(t *testing.T) {
	s := newSite(t)
	var returns recentReturns
	at := func(i int) (*inquiry, *url.URL) {
		r := navigation(fmt.Sprintf("/%d", i))
		return &inquiry{Request: r, now: s.clock.Now()}, r.URL
	}
	const many = 1000
	for i := range many {
		returns.add(at(i))
	}
	for i := range many {
		if got, want := returns.has(at(i)), i >= many-256; got != want {
			t.Fatalf("%d of %d is remembered: %v", i, many, got)
		}
	}
}
