package integration

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// A route that wants a token for each request, in a site that keeps sessions.
const stepUpSite = `	bws /transfer* {
		once POST
	}
	bws /bound* {
		bcid {http.auth.user.id}
	}
	bws {
		session
	}`

func bothOf(cookie, token string) []string { return []string{cookie, "X-BWS-Token: " + token} }

func TestStepUp(t *testing.T) {
	s := startSite(t, "", stepUpSite)
	url := "http://" + s.Addr
	cookie := begin(t, url, good(s.service))
	s.app.take()
	t.Run("security case 116: neither asked nor spent twice", func(t *testing.T) {
		covers(t)
		token := s.goodToken()
		calls := s.service.Calls("/result")
		if got := do(t, http.MethodPost, url+"/transfer", bothOf(cookie, token)...); got.StatusCode != http.StatusOK {
			t.Errorf("got %d %s", got.StatusCode, got.Body)
		}
		if header := s.reached(t).Header; header.Get("X-BWS-BCID") != alice.String() || header.Get("Cookie") != "" || header.Get("X-BWS-Token") != "" {
			t.Errorf("the app gets %q", header)
		}
		if asked := s.service.Calls("/result") - calls; asked != 1 {
			t.Errorf("BWS was asked %d times, want once", asked)
		}
		s.checkKeptOut(t, do(t, http.MethodPost, url+"/transfer", bothOf(cookie, token)...), "spent")
		s.checkKeptOut(t, do(t, http.MethodPost, url+"/transfer", cookie), "no_token")
	})
	t.Run("security case 118: a token of somebody else's", func(t *testing.T) {
		covers(t)
		s.checkKeptOut(t, do(t, http.MethodPost, url+"/transfer", bothOf(cookie, goodOf(s.service.Service, bob))...), "contradiction")
	})
	t.Run("security case 119: bound to whom the session names", func(t *testing.T) {
		covers(t)
		s.checkKeptOut(t, do(t, http.MethodGet, url+"/bound", cookie), "no_token")
		s.checkKeptOut(t, do(t, http.MethodGet, url+"/bound", bothOf(cookie, s.goodToken())...), "bcid_not_allowed")
	})
	t.Run("security case 21: a method that another pretends to be", func(t *testing.T) {
		covers(t)
		token := s.goodToken()
		for _, header := range []string{"X-HTTP-Method-Override: POST", "X-HTTP-Method: POST", "X-Method-Override: POST", "x_http_method_override: POST"} {
			if got := s.raw(t, "GET /transfer HTTP/1.1", "X-BWS-Token: "+token, header); got.StatusCode != http.StatusOK {
				t.Fatalf("got %d %s", got.StatusCode, got.Body)
			}
			for name := range s.reached(t).Header {
				if strings.Contains(strings.ToLower(name), "method") {
					t.Errorf("the app gets %s", name)
				}
			}
		}
	})
	t.Run("security case 123: what nobody may want yet", func(t *testing.T) {
		covers(t)
		token := s.goodToken()
		for _, header := range []string{"Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "X-Moz: prefetch", "Early-Data: 1"} {
			got := s.raw(t, "POST /transfer HTTP/1.1", "Content-Length: 0", "X-BWS-Token: "+token, header)
			s.checkKeptOut(t, got, "too_early")
			if got.StatusCode != http.StatusTooEarly {
				t.Errorf("%s: got %d", header, got.StatusCode)
			}
		}
		if got := s.raw(t, "POST /transfer HTTP/1.1", "Content-Length: 0", "X-BWS-Token: "+token); got.StatusCode != http.StatusOK {
			t.Errorf("afterwards: got %d %s", got.StatusCode, got.Body)
		}
		s.app.take()
	})
	t.Run("security case 45: asked afresh", func(t *testing.T) {
		covers(t)
		token := s.goodToken()
		do(t, http.MethodGet, url+"/transfer", "X-BWS-Token: "+token)
		s.app.take()
		s.service.Perform(token, bwstest.Outcome{})
		s.checkKeptOut(t, do(t, http.MethodPost, url+"/transfer", "X-BWS-Token: "+token), "not_recognized")
	})
	t.Run("security case 54: at the same instant", func(t *testing.T) {
		covers(t)
		for range 20 {
			token := "X-BWS-Token: " + s.goodToken()
			var outcomes tally
			var rush sync.WaitGroup
			for range 8 {
				rush.Go(func() {
					if got, err := ask(t.Context(), client, http.MethodPost, url+"/transfer", "", token); err == nil {
						outcomes.add(got.outcome())
					}
				})
			}
			rush.Wait()
			if passed := len(s.app.take()); passed != 1 || outcomes.of("200") != 1 || outcomes.of("401 spent") != 7 {
				t.Errorf("the token has passed %d times: %v", passed, outcomes.counts)
			}
		}
	})
	t.Run("security case 55: after a restart", func(t *testing.T) {
		covers(t)
		token := "X-BWS-Token: " + s.goodToken()
		do(t, http.MethodPost, url+"/transfer", token)
		s.app.take()
		n := &node{s.caddyProcess}
		n.kill()
		n.restart()
		s.checkKeptOut(t, do(t, http.MethodPost, url+"/transfer", token), "spent")
		s.checkKeptOut(t, do(t, http.MethodGet, url+"/transfer", token), "spent")
	})
}

// Whoever is at the gate is judged by the policy of now: what is remembered, and what a session carries, is evidence, and no decision.
func TestPolicyBecomesStricter(t *testing.T) {
	covers(t, 108)
	t.Parallel()
	service := bwstest.NewServer(t, bwstest.Config{})
	c := &caddyProcess{t: t, Addr: freeAddr(t), Admin: freeAddr(t)}
	gate := func(policy string) string { return c.generation(service.URL, 0, "bws {\n"+policy+"\n\tsession\n\t}") }
	c.run(gate(""))
	url := "http://" + c.Addr
	token := good(service)[0]
	cookie := begin(t, url, []string{token})
	asked := service.Calls("/result")
	for policy, reason := range map[string]string{
		"": "", "bcid " + bob.String(): "bcid_not_allowed", "bcid bioid/9876/*": "", "require challenge": "no_challenge",
		"allow identification\n\tmin_score 0.5": "action_not_allowed",
	} {
		c.reload(gate(policy))
		for name, header := range map[string]string{"a session": cookie, "a token": token} {
			eventually(t, "the configuration is in force", func() bool {
				return do(t, http.MethodGet, url, header).reason() == reason
			})
			if got := do(t, http.MethodGet, url, header); got.reason() != reason || (got.StatusCode == http.StatusOK) != (reason == "") {
				t.Errorf("%q, with %s: got %d %s, want %q", policy, name, got.StatusCode, got.Body, reason)
			}
		}
	}
	if calls := service.Calls("/result") - asked; calls > 0 {
		t.Errorf("BWS was asked %d times", calls)
	}
	time.Sleep(time.Second) // max_age has no fraction of a second
	c.reload(gate("max_age 1s"))
	for _, header := range []string{cookie, token} {
		if got := do(t, http.MethodGet, url, header); got.reason() != "too_old" {
			t.Errorf("got %d %s", got.StatusCode, got.Body)
		}
	}
}
