package integration

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

// Logins in a real browser: what comes after one.

// revoke has the session that began with a token end.
func (v *visitor) revoke(token string) {
	v.t.Helper()
	post(v.t, "http://"+v.site.Admin+"/bws/revoke", `{"token":"`+token+`"}`, http.StatusOK)
}

// posts returns how many forms the app got since the last call.
func (s *loginSite) posts() (posts int) {
	for _, r := range s.app.take() {
		if r.Method == http.MethodPost {
			posts++
		}
	}
	return posts
}

func (v *visitor) checkPosts(want int) {
	v.t.Helper()
	if posts := v.site.posts(); posts != want {
		v.t.Errorf("the app got %d forms, want %d", posts, want)
	}
}

// A step-up demands a verification of its own, and whatever one does with the form, it goes through once.
func TestStepUpInBrowser(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	s := startLoginSite(t, aliceLogsIn+`
	bws /transfer {
		bcid bioid/9876/12345
		max_age 1h
		once POST
		login {
			ui {ui}
		}
	}`)
	v := s.visit(t, browser, "/page")
	v.choose("recognized")
	v.sees("GET /page")
	v.Click("transfer")
	token := v.choose("recognized")
	v.sees("GET /transfer")
	v.checkKeptSecret(token, 2)
	v.Click("send")
	v.sees("POST /transfer")
	v.checkPosts(1)

	// The same form once more.
	v.Back()
	v.Until(`document.title + document.readyState`, "GET /transfercomplete")
	v.Click("send")
	v.isRefused("spent")
	v.checkPosts(0)

	// The page of the form, which begins another verification.
	v.goTo("/transfer")
	if again := v.choose("recognized"); again == token {
		t.Error("the token is the one that was spent")
	}
	v.sees("GET /transfer")
	v.Click("send")
	v.sees("POST /transfer")
	v.checkPosts(1)
	v.goTo("/page")
	v.sees("GET /page")
	if tokens := s.service.Calls("/token"); tokens != 3 {
		t.Errorf("%d tokens were requested, want 3", tokens)
	}
}

// isRefused waits for the answer to a form, which is no redirect.
func (v *visitor) isRefused(reason string) {
	v.t.Helper()
	v.Until(`document.body.textContent`, `"reason":"`+reason+`"`)
	status := v.Text(`performance.getEntriesByType("navigation")[0].responseStatus + ""`)
	if address := v.Text(`location.href`); status != "401" || address != v.site.url+"/transfer" {
		v.t.Errorf("the form is answered with %s by %s", status, address)
	}
}

// Whoever has logged out is let in nowhere without logging in again.
func TestLogoutInBrowser(t *testing.T) {
	covers(t, 57)
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	for name, gate := range map[string]string{
		"session": aliceLogsIn,
		"token":   "\tbws {\n\t\tbcid bioid/9876/12345\n\t\tlogin {\n\t\t\tui {ui}\n\t\t}\n\t}",
	} {
		t.Run(name, func(t *testing.T) {
			s := startLoginSite(t, "\tbws_logout /logout {\n\t\tredirect /bye\n\t}\n"+
				"\troute {\n\t\trespond /bye \"Bye\"\n\t"+gate+"\n\t}")
			v := s.visit(t, browser, "/page")
			first := v.choose("recognized")
			v.sees("GET /page")
			v.Click("logout")
			v.Until(`document.body.textContent`, "Bye")
			v.checkKeptSecret(first, 1)
			v.Back()
			// Browsers may show a page that they have kept, until one does something.
			v.Until(`document.readyState + document.body.textContent.includes("Bye")`, "completefalse")
			v.Do(chromedp.Reload())
			if second := v.choose("recognized"); second == first {
				t.Error("the token is the one of the session that ended")
			}
			v.sees("GET /page")
			v.checkKeptSecret(first, 1)
		})
	}
}

func TestSessionEndsInBrowser(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	s := startLoginSite(t, aliceLogsIn)
	t.Run("at a link", func(t *testing.T) {
		v := s.visit(t, browser, "/page")
		token := v.choose("recognized")
		v.sees("GET /page")
		v.revoke(token)
		v.Click("next")
		v.choose("recognized")
		v.sees("GET /next?a=b")
		v.checkKeptSecret(token, 2)
	})
	t.Run("at a form", func(t *testing.T) {
		v := s.visit(t, browser, "/page")
		token := v.choose("recognized")
		v.sees("GET /page")
		v.revoke(token)
		v.checkPosts(0)
		v.Click("send")
		v.isRefused("revoked")
		v.checkPosts(0)
		v.Back()
		v.Until(`document.title`, "GET /page")
		v.Do(chromedp.Reload())
		v.choose("recognized")
		v.sees("GET /page")
		v.Click("send")
		v.sees("POST /transfer")
		v.checkPosts(1)
	})
}
