package bwstest_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// The capture page in a real browser: the service behind it.

// Page and API can be on two origins, as BioID's are.
func TestOtherOriginInBrowser(t *testing.T) {
	browser := newBrowser(t, withCamera)
	t.Run("our page", func(t *testing.T) {
		s := newSite(t)
		page := httptest.NewServer(bwstest.CapturePage(s.url + bwstest.Base))
		defer page.Close()
		token := s.token(0)
		p := s.open(t, browser, strings.Replace(s.link(bwstest.UUI, token), s.url, page.URL, 1))
		p.says("press Start")
		if n := p.text(`document.querySelectorAll("button").length + ""`); n != "2" {
			t.Errorf("%s buttons, though nobody can choose the outcome", n)
		}
		p.click("start")
		p.comesBack("access_token=" + token + "&state=s-1_2&skipintro=false")
	})
	// jQuery declares what it posts as a form (observed).
	t.Run("a page as BioID's", func(t *testing.T) {
		s := newSite(t)
		token := s.token(0)
		p := s.open(t, browser, s.app)
		got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`(async (base, token) => {
			const call = async (path, init) => (await fetch(base + path, { ...init, headers: { Authorization: "Bearer " + token,
				"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8" } })).json()
			const upload = await call("/upload?tag=any&index=1&trait=Face,Periocular", { method: "POST", body: "`+pngSample+`" })
			const verify = await call("/verify")
			return [upload.Accepted, upload.Warnings.toString(), verify.Success].join()
		})("`+s.url+bwstest.Base+`", "`+token+`")`, chromedp.EvalAwaitPromise))
		if err != nil || got != "true,,true" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestServiceFaultsInBrowser(t *testing.T) {
	browser := newBrowser(t, withoutCamera)
	t.Run("again", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Script("/upload", bwstest.Answer{Raw: []byte{}}, bwstest.Answer{Status: 400}, bwstest.Answer{Body: []byte("<html>")})
		s.Script("/verify", bwstest.Answer{Status: 500})
		token := s.token(0)
		p := s.open(t, browser, s.link(bwstest.PerformTask, token))
		for _, says := range []string{"cannot be reached. Please", "did not accept", "cannot be reached. Please", "did not accept"} {
			p.click("recognized")
			p.says(says)
		}
		s.ScriptAlways("/upload", bwstest.Answer{Body: []byte(`{"Accepted":false,"Error":"NoFaceFound"}`)})
		before := s.Calls("/upload")
		p.click("recognized")
		p.says("None of the last pictures could be used. Please try again.")
		if n := s.Calls("/upload") - before; n != 20 {
			t.Errorf("%d uploads in one try", n)
		}
		s.Reset()
		p.click("recognized")
		p.comesBack("access_token=" + token + "&state=s-1_2")
	})
	t.Run("before the camera is refused", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Script("/upload", bwstest.Answer{Status: 400})
		p := s.open(t, browser, s.link(bwstest.PerformTask, s.token(0)), script(
			`navigator.mediaDevices.getUserMedia = () => new Promise((_, refuse) => { window.refuse = refuse })`))
		p.says("Allow this page to use your camera")
		p.click("recognized")
		p.says("did not accept")
		p.text(`window.refuse(new Error("late")), ""`)
		p.says("did not accept")
	})
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		used := s.Token(bwstest.TokenSpec{BCID: alice, Task: 1})
		perform(s, "/verify", used)
		for token, want := range map[string]string{
			s.Token(bwstest.TokenSpec{BCID: alice, NotBefore: time.Now().Add(-time.Hour)}): "Unauthorized",
			bwstest.New(bwstest.Config{}).Token(bwstest.TokenSpec{BCID: alice}):            "Unauthorized",
			used: "Forbidden",
		} {
			p := s.open(t, browser, s.link(bwstest.PerformTask, token))
			p.click("recognized")
			p.says("You are taken back")
			p.click("cancel") // by now the button goes back at once
			p.comesBack("access_token=" + token + "&error=" + want + "&state=s-1_2")
		}
	})
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Script("/upload", bwstest.Answer{Hang: true})
		token := s.token(0)
		p := s.open(t, browser, s.link(bwstest.PerformTask, token))
		p.click("recognized")
		p.says("Picture 1")
		p.click("cancel")
		p.comesBack("error=user_abort&access_token=" + token + "&state=s-1_2")
	})
}

// script has a page run a script before its own.
func script(source string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
		return err
	})
}
