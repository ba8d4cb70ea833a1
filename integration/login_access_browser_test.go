package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

// Logins in a real browser: who can do with them.

// Nothing but the camera page needs JavaScript, which this test does without: it performs, and returns, in its place.
func TestLoginWithoutJavaScript(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	s := startLoginSite(t, strings.Replace(aliceLogsIn, "session", "session {\n\t\t\tsame_site strict\n\t\t}", 1))
	v := s.visit(t, browser, "/page?x=1", browsertest.Scripts(false))
	comeBack := func(outcome bwstest.Outcome) {
		t.Helper()
		token := v.isSentToCapture()
		if text := v.Text(`document.querySelector("main").innerText`); !strings.Contains(text, "JavaScript, which is switched off") {
			t.Errorf("the page says %q", text)
		}
		s.service.Perform(token, outcome)
		v.Text(`{ const q = new URLSearchParams(location.search)
			location.href = q.get("return_url") + "?access_token=" + q.get("access_token") + "&state=" + q.get("state"), "" }`)
	}
	comeBack(bwstest.Outcome{})
	v.isTold(notRecognized, "not_recognized", "/page?x=1")
	v.triesAgain()
	comeBack(success)
	v.sees("GET /page?x=1")
	v.Click("next")
	v.sees("GET /next?a=b")
}

// With `same_site strict` a browser that another site has led here is led on by a page.
func TestLoginWithStrictSession(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	s := startLoginSite(t, strings.Replace(aliceLogsIn, "session", "session {\n\t\t\tsame_site strict\n\t\t}", 1))
	elsewhere := newAppThat(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<title>elsewhere</title><a id="link" href="` + s.url + `/page?x=1">Link</a>`))
	})
	v := &visitor{browser.Profile(t).Open(t, elsewhere.URL), t, s}
	v.Click("link")
	token := v.choose("recognized")
	v.sees("GET /page?x=1")
	v.checkKeptSecret(token, 1)
	v.Do(chromedp.Navigate(elsewhere.URL))
	v.Click("link")
	v.sees("GET /page?x=1")
	v.checkKeptSecret(token, 1)
	if tokens := s.service.Calls("/token"); tokens != 1 {
		t.Errorf("%d tokens were requested, want 1", tokens)
	}
}

func TestLoginByKeyboard(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	s := startLoginSite(t, strings.Replace(aliceLogsIn, "login {", "login {\n\t\t\tmax_tries 1", 1))
	v := s.visit(t, browser, "/page")
	choose := func(id string) {
		t.Helper()
		v.isSentToCapture()
		v.Says("There is no camera")
		v.tabTo(id)
		v.Press(kb.Enter)
	}
	choose("not-recognized")
	v.isTold(notRecognized, "not_recognized", "/page")
	v.tabTo("")
	v.Press(kb.Enter)
	choose("cancel")
	v.isTold(canceled, "pending", "/page")
	v.tabTo("")
	v.Press(kb.Enter)
	choose("recognized")
	v.sees("GET /page")
}

// tabTo presses the tab key until a button, or the link without an id, has the focus, and checks that this is to be seen.
func (v *visitor) tabTo(id string) {
	v.t.Helper()
	for range 5 {
		v.Press(kb.Tab)
		if v.Text(`["A", "BUTTON"].includes(document.activeElement.tagName) ? document.activeElement.id : "nothing"`) == id {
			if outline := v.Text(`getComputedStyle(document.activeElement).outline`); !strings.Contains(outline, "solid 3px") {
				v.t.Errorf("the focus on %q is not to be seen: %s", id, outline)
			}
			return
		}
	}
	v.t.Fatalf("the tab key does not lead to %q", id)
}
