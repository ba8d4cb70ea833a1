package bwstest_test

import (
	"encoding/base64"
	"image/png"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

// The camera page in a real browser: what it sends, and how it goes back.

func TestCamera(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithCamera...)
	const (
		live      = bws.TaskLiveDetect | 3
		verified  = `{"Action":"verification","BCID":"bws/1/42","Success":true}`
		found     = `{"Action":"identification","BCID":"bws/1/0","Success":true,"Matches":[{"BCID":"bws/1/42","Score":0.9}]}`
		enrolled  = `{"Action":"enrollment","BCID":"bws/2/42","Success":true}`
		alive     = `{"Action":"livenessdetection","Success":true}`
		challenge = live | bws.TaskChallenge
	)
	moves := [][]string{{"left", "up", "right"}, {"down"}}
	for name, tt := range map[string]struct {
		spec                   bwstest.TokenSpec
		tags, phrase, ofResult string
	}{
		"verify":         {bwstest.TokenSpec{BCID: alice}, "any any", "You were recognized.", verified},
		"verify quickly": {bwstest.TokenSpec{BCID: alice, Task: 3}, "any", "You were recognized.", verified},
		"challenge": {
			bwstest.TokenSpec{BCID: alice, Task: challenge, Challenges: moves}, "any left up right", "You were recognized.", verified,
		},
		"identify":          {bwstest.TokenSpec{BCID: all, Task: live | bws.TaskIdentify}, "any any", "The search is done.", found},
		"enroll":            {bwstest.TokenSpec{BCID: eve, Task: live | bws.TaskEnroll}, "any any any any", "You are enrolled.", enrolled},
		"livenessdetection": {bwstest.TokenSpec{Task: bws.TaskLiveOnly | 3}, "any any", "You are alive.", alive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			token := s.Token(tt.spec)
			p := s.open(t, browser, s.link(bwstest.PerformTask, token))
			p.Says("press Start")
			p.Click("start")
			p.Says(tt.phrase)
			p.comesBack("access_token=" + token + "&state=s-1_2")
			if status, body := last(s, token); status != http.StatusOK || body != tt.ofResult {
				t.Errorf("the result is %d %s", status, body)
			}
			sent := s.sent()
			if got := tags(sent); got != tt.tags {
				t.Fatalf("the tags are %q, want %q", got, tt.tags)
			}
			for i, sample := range sent {
				if index := sample.query.Get("index"); index != strconv.Itoa(i+1) || sample.query.Get("trait") != "Face,Periocular" {
					t.Errorf("upload %d has the parameters %v", i, sample.query)
				}
				if sample.contentType != "text/plain" {
					t.Errorf("upload %d is %s", i, sample.contentType)
				}
				data, isPNG := strings.CutPrefix(sample.body, "data:image/png;base64,")
				picture, err := png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(data)))
				if !isPNG || err != nil || picture.Bounds().Dx() != 640 || picture.Bounds().Dy() < 300 {
					t.Errorf("upload %d is no picture of the camera: %v", i, err)
				}
				if i > 0 && sample.body == sent[i-1].body {
					t.Errorf("upload %d is the picture before", i)
				}
			}
		})
	}
}

func TestCameraRetries(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithCamera...)
	start := func(t *testing.T, s *site, link string) *tab {
		t.Helper()
		p := s.open(t, browser, link)
		p.Says("press Start")
		p.Click("start")
		return p
	}
	t.Run("until recognized", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		token := s.Token(bwstest.TokenSpec{
			BCID: alice, Task: bws.TaskLiveDetect | bws.TaskChallenge | 3, Challenges: [][]string{{"left"}, {"right"}},
		})
		s.Next(token, bwstest.Outcome{}, bwstest.Outcome{Error: bws.ChallengeResponseFailed})
		p := start(t, s, s.link(bwstest.PerformTask, token))
		p.Says("You were not recognized.\n2 tries are left.")
		p.Click("start")
		p.Says("Your head movements did not match.\nOne try is left.")
		p.Click("start")
		p.comesBack("access_token=" + token + "&state=s-1_2")
		if got := tags(s.sent()); got != "any left any right any left" {
			t.Errorf("the tags are %s", got)
		}
	})
	t.Run("by itself", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		token := s.token(0)
		s.Next(token, bwstest.Outcome{Error: bws.LiveDetectionFailed})
		p := s.open(t, browser, s.link(bwstest.UUI, token)+"&skipintro=true")
		p.Says("2 tries are left")
		p.comesBack("access_token=" + token + "&state=s-1_2&skipintro=true")
	})
	t.Run("not for a stranger", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		token := s.Token(bwstest.TokenSpec{BCID: bob})
		p := start(t, s, s.link(bwstest.UUI, token))
		p.Says("You are not enrolled.")
		p.comesBack("access_token=" + token + "&error=NoTemplateAvailable&state=s-1_2&skipintro=false")
	})
	t.Run("of pictures", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Script("/upload", bwstest.Answer{Body: []byte(`{"Accepted":false,"Error":"NoFaceFound"}`)},
			bwstest.Answer{Body: []byte(`{"Accepted":false,"Error":"<b>"}`)})
		token := s.token(0)
		p := start(t, s, s.link(bwstest.PerformTask, token))
		p.Says("No face was found.")
		p.Says("That did not work.")
		p.comesBack("access_token=" + token + "&state=s-1_2")
		if got := tags(s.sent()); got != "any any any any" {
			t.Errorf("the tags are %s", got)
		}
	})
	t.Run("with another camera", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		token := s.token(0)
		p := s.open(t, browser, s.link(bwstest.PerformTask, token))
		p.Says("press Start")
		p.Text(`document.querySelector("video").srcObject.getTracks()[0].dispatchEvent(new Event("ended")) + ""`)
		p.Says("The camera is gone.")
		p.Click("start")
		p.Says("press Start")
		p.Click("start")
		p.comesBack("access_token=" + token + "&state=s-1_2")
	})
}

// The buttons need neither a camera nor Start.
func TestButtons(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	const failed = `{"Action":"verification","BCID":"bws/1/42","Success":false`
	for name, tt := range map[string]struct {
		spec     bwstest.TokenSpec
		buttons  string
		says     []string
		query    string // T stands for the token
		ofResult string
	}{
		"recognized": {
			bwstest.TokenSpec{BCID: bob}, "recognized", []string{"You were recognized."},
			"access_token=T&state=s-1_2", `{"Action":"verification","BCID":"bws/1/-7","Success":true}`,
		},
		"recognized at last": {
			bwstest.TokenSpec{BCID: alice}, "not-recognized not-live recognized",
			[]string{"You were not recognized.\n2 tries are left.", "Live detection failed", "You were recognized."},
			"access_token=T&state=s-1_2", `{"Action":"verification","BCID":"bws/1/42","Success":true}`,
		},
		"not recognized": {
			bwstest.TokenSpec{BCID: alice, Task: bws.TaskLiveDetect | 1}, "not-recognized", []string{"You were not recognized.\nYou are taken back"},
			"access_token=T&error=NotRecognized&state=s-1_2", failed + "}",
		},
		"not live": {
			bwstest.TokenSpec{BCID: alice, Task: bws.TaskLiveDetect | 1}, "not-live", []string{"the camera must see a living person"},
			"access_token=T&error=LiveDetectionFailed&state=s-1_2", failed + `,"Error":"LiveDetectionFailed"}`,
		},
		"no tries left": {
			bwstest.TokenSpec{BCID: alice, Task: bws.TaskLiveDetect | bws.TaskChallenge}, "not-recognized not-live not-recognized",
			[]string{"2 tries are left.", "One try is left.", "You are taken back to 127.0.0.1"},
			"access_token=T&error=NotRecognized&state=s-1_2", failed + "}",
		},
		"cancel": {
			bwstest.TokenSpec{BCID: alice}, "cancel", []string{""}, "error=user_abort&access_token=T&state=s-1_2", "",
		},
		"cancel after a try": {
			bwstest.TokenSpec{BCID: alice}, "not-recognized cancel", []string{"2 tries are left.", ""},
			"error=user_abort&access_token=T&state=s-1_2", failed + "}",
		},
		"enrolled": {
			bwstest.TokenSpec{BCID: eve, Task: bws.TaskEnroll | 3}, "not-recognized recognized",
			[]string{"The camera did not see enough.", "You are enrolled."},
			"access_token=T&state=s-1_2", `{"Action":"enrollment","BCID":"bws/2/42","Success":true}`,
		},
		"alive": {
			bwstest.TokenSpec{Task: bws.TaskLiveOnly | 3}, "not-live recognized", []string{"Live detection failed", "You are alive."},
			"access_token=T&state=s-1_2", `{"Action":"livenessdetection","Success":true}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			token := s.Token(tt.spec)
			p := s.open(t, browser, s.link(bwstest.PerformTask, token))
			p.Says("There is no camera that this page may use.")
			for i, button := range strings.Fields(tt.buttons) {
				p.Click(button)
				p.Says(tt.says[i])
			}
			p.comesBack(strings.ReplaceAll(tt.query, "T", token))
			if _, body := last(s, token); body != tt.ofResult {
				t.Errorf("the result is %s, want %s", body, tt.ofResult)
			}
			for _, sample := range s.sent() {
				if len(sample.body) > 500 || !strings.HasPrefix(sample.body, "data:image/png;base64,") {
					t.Errorf("%d bytes were uploaded", len(sample.body))
				}
			}
		})
	}
	t.Run("back", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		token := s.token(0)
		p := s.open(t, browser, s.link(bwstest.PerformTask, token))
		p.Says("There is no camera")
		p.Click("not-recognized")
		p.Says("2 tries are left.")
		p.Click("cancel")
		p.comesBack("error=user_abort&access_token=" + token + "&state=s-1_2")
		p.Until("document.title + document.readyState", "backcomplete")
		p.Do(chromedp.NavigateBack())
		p.Says("There is no camera")
		// Chromium loaded it anew; other browsers may bring it back as it was.
		p.Text(`window.kept = "kept"; dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })) + ""`)
		p.Until(`(window.kept ?? "anew") + document.readyState`, "anewcomplete")
		p.Says("There is no camera")
		p.Click("recognized")
		p.comesBack("access_token=" + token + "&state=s-1_2")
	})
}
