package bwstest_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

// The camera page in a real browser: the service behind it.

// Page and API can be on two origins, as BioID's are.
func TestOtherOriginInBrowser(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithCamera...)
	t.Run("our page", func(t *testing.T) {
		s := newSite(t)
		page := httptest.NewServer(bwstest.CapturePage(s.url + bwstest.Base))
		defer page.Close()
		token := s.token(0)
		p := s.open(t, browser, strings.Replace(s.link(bwstest.UUI, token), s.url, page.URL, 1))
		p.Says("press Start")
		if n := p.Text(`document.querySelectorAll("button").length + ""`); n != "2" {
			t.Errorf("%s buttons, though nobody can choose the outcome", n)
		}
		p.Click("start")
		p.comesBack("access_token=" + token + "&state=s-1_2&skipintro=false")
	})
	// jQuery declares what it posts as a form (observed).
	t.Run("a page as BioID's", func(t *testing.T) {
		s := newSite(t)
		token := s.token(0)
		p := s.open(t, browser, s.app)
		got := p.Text(`(async (base, token) => {
			const call = async (path, init) => (await fetch(base + path, { ...init, headers: { Authorization: "Bearer " + token,
				"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8" } })).json()
			const upload = await call("/upload?tag=any&index=1&trait=Face,Periocular", { method: "POST", body: "` + pngSample + `" })
			const verify = await call("/verify")
			return [upload.Accepted, upload.Warnings.toString(), verify.Success].join()
		})("` + s.url + bwstest.Base + `", "` + token + `")`)
		if got != "true,,true" {
			t.Errorf("got %q", got)
		}
	})
}

func TestServiceFaultsInBrowser(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	t.Run("again", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Script("/upload", bwstest.Answer{Raw: []byte{}}, bwstest.Answer{Status: 400}, bwstest.Answer{Body: []byte("<html>")})
		s.Script("/verify", bwstest.Answer{Status: 500})
		token := s.token(0)
		p := s.open(t, browser, s.link(bwstest.PerformTask, token))
		for _, says := range []string{"cannot be reached. Please", "did not accept", "cannot be reached. Please", "did not accept"} {
			p.Click("recognized")
			p.Says(says)
		}
		s.ScriptAlways("/upload", bwstest.Answer{Body: []byte(`{"Accepted":false,"Error":"NoFaceFound"}`)})
		before := s.Calls("/upload")
		p.Click("recognized")
		p.Says("None of the last pictures could be used. Please try again.")
		if n := s.Calls("/upload") - before; n != 20 {
			t.Errorf("%d uploads in one try", n)
		}
		s.Reset()
		p.Click("recognized")
		p.comesBack("access_token=" + token + "&state=s-1_2")
	})
	t.Run("before the camera is refused", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Script("/upload", bwstest.Answer{Status: 400})
		p := s.open(t, browser, s.link(bwstest.PerformTask, s.token(0)), browsertest.RunFirst(
			`navigator.mediaDevices.getUserMedia = () => new Promise((_, refuse) => { window.refuse = refuse })`))
		p.Says("Allow this page to use your camera")
		p.Click("recognized")
		p.Says("did not accept")
		p.Text(`window.refuse(new Error("late")), ""`)
		p.Says("did not accept")
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
			p.Click("recognized")
			p.Says("You are taken back")
			p.Click("cancel") // by now the button goes back at once
			p.comesBack("access_token=" + token + "&error=" + want + "&state=s-1_2")
		}
	})
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Script("/upload", bwstest.Answer{Hang: true})
		token := s.token(0)
		p := s.open(t, browser, s.link(bwstest.PerformTask, token))
		p.Click("recognized")
		p.Says("Picture 1")
		p.Click("cancel")
		p.comesBack("error=user_abort&access_token=" + token + "&state=s-1_2")
	})
}
