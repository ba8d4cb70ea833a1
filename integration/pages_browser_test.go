package integration

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

// What people see of gates and of the camera page, on a phone, in light and in dark.

// readAxe returns axe-core, which knows the rules of accessibility.
func readAxe(t *testing.T) string {
	t.Helper()
	axe, err := os.ReadFile("../tools/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("there is no axe-core: install it, with `npm ci --prefix tools` at the top of the repository (%v)", err)
	}
	return string(axe)
}

const (
	loadAxe    = `; document.axeVersion = axe.version`
	violations = `axe.run(document, { resultTypes: ["violations"] }).then(({ violations, passes }) => passes.length < 5 ? "no rules applied" :
		violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.map(n => n.html + "\n" + n.failureSummary).join("\n")).join("\n"))`
	// The window of a phone widens with its page, its screen does not.
	tooWide = `document.documentElement.scrollWidth > screen.width ? document.documentElement.scrollWidth + " pixels" : ""`
)

func TestPages(t *testing.T) {
	t.Parallel()
	axe, browser := readAxe(t), browsertest.Start(t, browsertest.WithCamera...)
	s := startLoginSite(t, strings.Replace(aliceLogsIn, "bws {", "bws /page {", 1)+`
	bws /denied
	bws /strict {
		session {
			same_site strict
		}
	}`)
	for name, lead := range map[string]func(*visitor){
		"denied": func(v *visitor) {
			v.goTo("/denied")
			v.isTold("", "no_token", "/denied")
		},
		"outcome": func(v *visitor) {
			v.goTo("/page")
			v.choose("cancel")
			v.isTold(canceled, "pending", "/page")
		},
		"detour": func(v *visitor) {
			v.Do(chromedp.Navigate(s.heldDetour(v.t)))
			v.Until(`document.title`, "One moment")
		},
		"capture": func(v *visitor) {
			v.goTo("/page")
			v.Says("press Start")
		},
		"capture, at work": func(v *visitor) {
			v.goTo("/page")
			v.Says("press Start")
			s.service.Script("/upload", bwstest.Answer{Hang: true})
			v.t.Cleanup(s.service.Reset) // the page may not come to it
			v.Click("start")
			v.Says("Picture 1")
		},
		"capture, after a try": func(v *visitor) {
			v.goTo("/page")
			v.choose("not-recognized")
			v.Says("2 tries are left")
		},
		"capture, without a token": func(v *visitor) {
			v.Do(chromedp.Navigate(s.service.UI))
			v.Says("It lacks a valid token.")
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := s.visit(t, browser, "/denied", chromedp.EmulateViewport(375, 667, chromedp.EmulateMobile))
			lead(v)
			// The page's policy forbids scripts, but not those of the developer tools.
			v.Text(axe + loadAxe)
			backgrounds := make(map[string]bool)
			for _, scheme := range []string{"light", "dark"} {
				v.Do(browsertest.Prefers("prefers-color-scheme", scheme))
				backgrounds[v.Text(`getComputedStyle(document.body).backgroundColor`)] = true
				if found := v.Text(violations); found != "" {
					t.Errorf("%s: %s", scheme, found)
				}
				if width := v.Text(tooWide); width != "" {
					t.Errorf("%s: the page is %s wide", scheme, width)
				}
			}
			if len(backgrounds) != 2 {
				t.Error("light and dark are the same")
			}
		})
	}
}

// heldDetour is the address of the page that leads browsers on to a site with strict cookies. There it leads nowhere.
func (s *loginSite) heldDetour(t *testing.T) string {
	t.Helper()
	detour := do(t, http.MethodGet, s.url+"/strict", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site")
	return newAppThat(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		if r.Header.Get("Sec-Fetch-Site") == "same-origin" {
			w.WriteHeader(http.StatusNoContent) // the browser stays where it is
			return
		}
		w.Header().Set("Content-Type", detour.Header.Get("Content-Type"))
		w.Header().Set("Content-Security-Policy", detour.Header.Get("Content-Security-Policy"))
		_, _ = w.Write([]byte(detour.Body))
	}).URL
}
