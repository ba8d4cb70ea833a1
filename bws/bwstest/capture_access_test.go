package bwstest_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

// The camera page in a real browser: who can use it, and what does not work.

const noneVisible = `[...document.querySelectorAll("button")].every(b => b.checkVisibility() === false) + ""`

func TestKeyboard(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithCamera...)
	s := newSite(t)
	token := s.token(0)
	p := s.open(t, browser, s.link(bwstest.PerformTask, token))
	p.Says("press Start")
	focus := func(want string) {
		t.Helper()
		if got := p.Text(`document.activeElement.id`); got != want {
			t.Fatalf("the focus is on %q, want %q", got, want)
		}
		if outline := p.Text(`getComputedStyle(document.activeElement).outline`); !strings.Contains(outline, "solid 3px") {
			t.Errorf("the focus on %s is not to be seen: %s", want, outline)
		}
	}
	for _, id := range []string{"start", "cancel", "recognized", "not-recognized", "not-live"} {
		p.Press(kb.Tab)
		focus(id)
	}
	p.Press(" ")
	p.Says("2 tries are left")
	focus("not-live")
	for range 4 {
		p.Press(kb.Tab, chromedp.KeyModifiers(kb.ModifierShift))
	}
	focus("start")
	p.Press(kb.Enter)
	p.Says("Picture 1 of 2")
	focus("start")
	if disabled := p.Text(`document.activeElement.getAttribute("aria-disabled")`); disabled != "true" {
		t.Error("the button does not say that it does nothing now")
	}
	p.Press(kb.Enter)
	p.comesBack("access_token=" + token + "&state=s-1_2")
	if got := tags(s.sent()); got != "any any any any" {
		t.Errorf("the tags are %s: a second press of the button did something", got)
	}
}

// lowContrast lists the elements whose text has less than what WCAG demands at level AA.
const lowContrast = `(() => {
	const rgba = color => color.match(/[\d.]+/g).map(Number)
	const luminance = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0)
	const background = e => { const c = rgba(getComputedStyle(e).backgroundColor); return c[3] === 0 ? background(e.parentElement) : c }
	return [...document.querySelectorAll("body *")]
		.filter(e => e.id !== "arrow" && e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
		.map(e => [e, [luminance(rgba(getComputedStyle(e).color)), luminance(background(e))].sort((a, b) => a - b)])
		.filter(([, [dark, light]]) => (light + 0.05) / (dark + 0.05) < 4.5)
		.map(([e]) => e.id || e.textContent).join()
})()`

func TestAppearance(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithCamera...)
	backgrounds := make(map[string]string)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			s := newSite(t)
			s.Script("/upload", bwstest.Answer{Hang: true})
			p := s.open(t, browser, s.link(bwstest.PerformTask, s.token(0)), browsertest.Prefers("prefers-color-scheme", scheme))
			p.Says("press Start")
			backgrounds[scheme] = p.Text(`getComputedStyle(document.body).backgroundColor`)
			if low := p.Text(lowContrast); low != "" {
				t.Errorf("too little contrast: %s", low)
			}
			p.Click("start")
			p.Says("Picture 1")
			if low := p.Text(lowContrast); low != "" {
				t.Errorf("too little contrast while busy: %s", low)
			}
		})
	}
	if backgrounds["light"] == backgrounds["dark"] {
		t.Error("light and dark are the same")
	}
	for _, width := range []int64{320, 390, 1280} {
		s := newSite(t)
		p := s.open(t, browser, s.link(bwstest.PerformTask, s.token(0)), chromedp.EmulateViewport(width, 640))
		p.Says("press Start")
		if p.Text(`document.documentElement.scrollWidth > innerWidth ? "wider" : ""`) != "" {
			t.Errorf("the page is wider than %d pixels", width)
		}
		const small = `[...document.querySelectorAll("button")].map(b => b.getBoundingClientRect().height).filter(h => h < 40).join()`
		if heights := p.Text(small); heights != "" {
			t.Errorf("buttons of %s pixels are hard to hit", heights)
		}
	}
	for value, want := range map[string]string{"reduce": "none", "no-preference": "pulse"} {
		s := newSite(t)
		s.Script("/upload", bwstest.Answer{Hang: true})
		p := s.open(t, browser, s.link(bwstest.PerformTask, s.token(0)), browsertest.Prefers("prefers-reduced-motion", value))
		p.Says("press Start")
		p.Click("start")
		p.Says("Picture 1")
		if got := p.Text(`getComputedStyle(document.querySelector("video")).animationName`); got != want {
			t.Errorf("prefers-reduced-motion: %s: the animation is %s", value, got)
		}
	}
}

func TestBrokenLinks(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithCamera...)
	s := newSite(t)
	good := s.token(0)
	header, rest, _ := strings.Cut(good, ".")
	_, signature, _ := strings.Cut(rest, ".")
	const noToken, noReturn = "It lacks a valid token.", "It does not say where to return to."
	tab := s.open(t, browser, s.url)
	for name, tt := range map[string]struct{ token, returnURL, want string }{
		"nothing":               {"", "", noToken},
		"no token":              {"", s.app, noToken},
		"rubbish":               {"rubbish", s.app, noToken},
		"markup":                {`"><img src=x onerror=alert(1)>`, s.app, noToken},
		"two parts":             {header + "." + signature, s.app, noToken},
		"four parts":            {good + ".a", s.app, noToken},
		"white space":           {good + "\n", s.app, noToken},
		"no JSON":               {header + ".YWJj." + signature, s.app, noToken},
		"no base64":             {header + ".a." + signature, s.app, noToken},
		"no object":             {header + ".bnVsbA." + signature, s.app, noToken},
		"no task":               {s.Mint(map[string]any{"exp": 1}), s.app, noToken},
		"a text as task":        {s.Mint(map[string]any{"task": "259"}), s.app, noToken},
		"two kinds of task":     {s.Mint(map[string]any{"task": 0x30}), s.app, noToken},
		"unknown directions":    {s.Mint(map[string]any{"task": 0x303, "challenge": `[["constructor"]]`}), s.app, noToken},
		"a challenge in pieces": {s.Mint(map[string]any{"task": 0x303, "challenge": `[[`}), s.app, noToken},
		"no return_url":         {good, "", noReturn},
		"a path":                {good, "/account", noReturn},
		"a path of any scheme":  {good, "//a.example/", noReturn},
		"a script":              {good, "javascript:alert(1)//http://", noReturn},
		"a hidden script":       {good, " java\nscript:alert(1)", noReturn},
		"data":                  {good, "data:text/html,<script>alert(1)</script>", noReturn},
		"a relative address":    {good, "http:account", noReturn},
		"no host":               {good, "http://", noReturn},
		"a bad port":            {good, "https://a.example:x/", noReturn},
	} {
		t.Run(name, func(t *testing.T) {
			query := url.Values{"access_token": {tt.token}, "return_url": {tt.returnURL}, "state": {"<script>alert(1)</script>"}}
			p := tab.In(t)
			p.Do(chromedp.Navigate("about:blank"), chromedp.Navigate(s.url+bwstest.UUI+"?"+query.Encode()))
			p.Says(tt.want)
			if title := p.Text(`document.querySelector("h1").textContent`); title != "This link does not work" {
				t.Errorf("the title is %q", title)
			}
			if p.Text(noneVisible) != "true" {
				t.Error("there is something to press")
			}
		})
	}
	if n := s.Calls("/upload"); n != 0 {
		t.Errorf("%d uploads", n)
	}
}

// The page joins what it was given, as BioID's does, and shows nothing of it.
func TestOddLinks(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithoutCamera...)
	s := newSite(t)
	token := s.token(bws.TaskLiveDetect | 3)
	for name, tt := range map[string]struct{ query, want string }{
		"no state":                     {"return_url=" + s.app, "access_token=T&state="},
		"a query of its own":           {"return_url=" + url.QueryEscape(s.app+"?a=b"), "a=b?access_token=T&state="},
		"a state that is not for URLs": {"return_url=" + s.app + "&state=" + url.QueryEscape(`a&error=b"><b>`), "access_token=T&state=a&error=b%22%3E%3Cb%3E"},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.open(t, browser, s.url+bwstest.PerformTask+"?access_token="+token+"&"+tt.query)
			p.Says("There is no camera")
			if n := p.Text(`document.querySelectorAll("b, script:not(:last-child)").length + ""`); n != "0" {
				t.Error("the page contains what it was given")
			}
			p.Click("recognized")
			p.comesBack(strings.ReplaceAll(tt.want, "T", token))
		})
	}
}

func TestWithoutJavaScript(t *testing.T) {
	browser := browsertest.Start(t, browsertest.WithCamera...)
	s := newSite(t)
	p := s.open(t, browser, s.link(bwstest.PerformTask, s.token(0)), browsertest.Scripts(false))
	if text := p.Text(`document.querySelector("main").innerText`); !strings.Contains(text, "JavaScript, which is switched off") {
		t.Errorf("the page says %q", text)
	}
	if p.Text(noneVisible) != "true" {
		t.Error("there is something to press that does nothing")
	}
}
