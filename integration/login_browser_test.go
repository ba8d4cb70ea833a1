package integration

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

// Logins in a real browser: how they end, and what they leave behind.

const notRecognized, canceled = "You were not recognized", "You have canceled"

func TestLoginWithCamera(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithCamera...)
	const page = "/page?x=1&y=%2F&z=a+b"
	for name, gate := range map[string]string{
		"session": aliceLogsIn,
		"token":   "\tbws {\n\t\tbcid bioid/9876/12345\n\t\tlogin {\n\t\t\tui {ui}\n\t\t}\n\t}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startLoginSite(t, gate)
			v := s.visit(t, browser, page)
			token := v.isSentToCapture()
			v.Says("press Start")
			v.Click("start")
			v.sees("GET " + page)
			v.checkKeptSecret(token, 1)
			v.Do(chromedp.Reload())
			v.sees("GET " + page)
			v.checkKeptSecret(token, 1)
			v.Click("next")
			v.sees("GET /next?a=b")
			v.checkKeptSecret(token, 1)
			if tokens, results := s.service.Calls("/token"), s.service.Calls("/result"); tokens != 1 || name == "session" && results != 1 {
				t.Errorf("%d tokens and %d results were asked for", tokens, results)
			}
		})
	}
}

func TestLoginByButtons(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	s := startLoginSite(t, aliceLogsIn)
	const page = "/page?x=1"
	visit := func(t *testing.T) *visitor {
		t.Helper()
		return s.visit(t, browser, page)
	}
	t.Run("recognized at the second try", func(t *testing.T) {
		v := visit(t)
		token := v.choose("not-recognized")
		v.Says("2 tries are left")
		v.choose("recognized")
		v.sees("GET " + page)
		v.checkKeptSecret(token, 1)
	})
	t.Run("canceled", func(t *testing.T) {
		v := visit(t)
		first := v.choose("cancel")
		for range 2 {
			v.isTold(canceled, "pending", page)
			v.checkKeptSecret(first, 0)
			v.Do(chromedp.Reload())
		}
		v.isTold(canceled, "pending", page)
		v.triesAgain()
		if second := v.choose("recognized"); second == first {
			t.Error("the token is the one of the login that was canceled")
		}
		v.sees("GET " + page)
		v.checkKeptSecret(first, 1)
	})
	t.Run("tries used up", func(t *testing.T) {
		v := visit(t)
		var token string
		for _, says := range []string{"2 tries are left", "One try is left", "You are taken back to localhost"} {
			token = v.choose("not-recognized")
			v.Says(says)
		}
		v.isTold(notRecognized, "not_recognized", page)
		v.checkKeptSecret(token, 0)
		v.triesAgain()
		v.choose("not-live")
		v.Says("2 tries are left")
		v.choose("cancel")
		v.isTold("Live detection failed", "live_detection_failed", page)
		v.triesAgain()
		v.choose("recognized")
		v.sees("GET " + page)
		v.checkKeptSecret(token, 1)
	})
	t.Run("elsewhere after a failure", func(t *testing.T) {
		v := visit(t)
		v.choose("cancel")
		v.isTold(canceled, "pending", page)
		v.goTo("/other")
		v.choose("recognized")
		v.sees("GET /other")
		v.goTo(page)
		v.sees("GET " + page)
		s.app.take()
	})
}

// The button that leads back brings nobody into a trap: whatever one does there leads to the app, or to where one can try again.
func TestLoginAndBack(t *testing.T) {
	covers(t, 72)
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	s := startLoginSite(t, aliceLogsIn)
	for _, choice := range []string{"recognized", "cancel"} {
		t.Run("after success, "+choice, func(t *testing.T) {
			v := s.visit(t, browser, "/page")
			token := v.choose("recognized")
			v.sees("GET /page")
			v.Back()
			v.choose(choice)
			v.sees("GET /page")
			v.checkKeptSecret(token, 2)
		})
	}
	t.Run("after cancelling", func(t *testing.T) {
		v := s.visit(t, browser, "/page")
		token := v.choose("cancel")
		v.isTold(canceled, "pending", "/page")
		v.Back()
		v.choose("recognized")
		v.sees("GET /page")
		v.checkKeptSecret(token, 1)
	})
	t.Run("over the app", func(t *testing.T) {
		v := s.visit(t, browser, "/page")
		token := v.choose("recognized")
		v.sees("GET /page")
		v.Click("next")
		v.sees("GET /next?a=b")
		v.checkKeptSecret(token, 2)
		v.Back()
		v.sees("GET /page")
		s.app.take() // browsers may keep the page instead of asking for it
		v.Do(chromedp.Reload())
		v.sees("GET /page")
		v.checkKeptSecret(token, 1)
	})
}

// Ten tabs that are restored at once all end where they were to lead.
func TestTenLoginsAtOnce(t *testing.T) {
	covers(t, 70)
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithoutCamera...).Profile(t)
	s := startLoginSite(t, aliceLogsIn)
	tabs := make([]*visitor, 10)
	for i := range tabs {
		tabs[i] = &visitor{browser.Open(t, fmt.Sprintf("%s/page?tab=%d", s.url, i)), t, s}
	}
	for _, v := range tabs {
		v.isSentToCapture()
	}
	for _, v := range tabs {
		v.Click("recognized")
	}
	for i, v := range tabs {
		v.sees(fmt.Sprintf("GET /page?tab=%d", i))
	}
}
