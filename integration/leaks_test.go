package integration

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// secrets are what no log may show, in whichever test: everything that BWS and the gates issue has a shape by which it is known.
var secrets = map[string]*regexp.Regexp{
	"a token":             regexp.MustCompile(`eyJ[\w-]{8,}`),
	"a sealed value":      regexp.MustCompile(`\bA[Q-Za-f][\w-]{64,}`), // which begin with their version
	"a login's cookie":    regexp.MustCompile(`\b[A-Z2-7]{26}\b`),
	"a cookie of a gate":  regexp.MustCompile(`bws_(token|session|login_\w+)=[^\s";]+`),
	"a password":          regexp.MustCompile(`Basic [\w+/=]{8,}`),
	"the App-Secret":      regexp.MustCompile(regexp.QuoteMeta(bwstest.AppSecret)),
	"a secret of a test":  regexp.MustCompile(secretMark),
	"a key of the ledger": regexp.MustCompile(`"secret":"[^"]+`),
}

// leaks returns the lines that show a secret, each with what it shows.
func leaks(log string) (found []string) {
	for line := range strings.Lines(log) {
		for what, shape := range secrets {
			if shape.MatchString(line) {
				found = append(found, what+": "+line)
			}
		}
	}
	return found
}

// checkLeaks fails the test if a log shows a secret.
func checkLeaks(t *testing.T, log string) {
	t.Helper()
	found := leaks(log)
	for _, leak := range found[:min(len(found), 3)] {
		t.Errorf("the log shows %s", leak)
	}
}

// navigation is what a browser sends that opens a page.
var navigation = []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}

// beginLogin has a browser begin a login, and returns what it is to come back with.
func beginLogin(t *testing.T, address string, note func(*answer) *answer) (token, state string) {
	t.Helper()
	to, err := url.Parse(note(do(t, http.MethodGet, address, navigation...)).Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return to.Query().Get("access_token"), to.Query().Get("state")
}

// What is issued is known by its shape, wherever it stands.
func TestLeaksAreSeen(t *testing.T) {
	s := startSite(t, "", `	bws /login* {
		bcid `+alice.String()+`
		login
	}
	bws {
		session 30m
	}`)
	issued := map[string]string{"a token": s.goodToken(), "the App-Secret": bwstest.AppSecret}
	note := func(got *answer) *answer {
		for _, cookie := range got.Cookies() {
			if cookie.Value != "" {
				issued[cookie.Name] = cookie.Value
			}
		}
		return got
	}
	note(do(t, http.MethodGet, "http://"+s.Addr, good(s.service)...))
	token, state := beginLogin(t, "http://"+s.Addr+"/login", note)
	issued["access_token"], issued["state"] = token, state
	for _, performed := range []bwstest.Outcome{{}, {Success: true}} {
		s.service.Perform(token, performed)
		var binding []string
		for name, value := range issued {
			if strings.HasPrefix(name, "bws_login_at_") {
				binding = append(binding, "Cookie: "+name+"="+value)
			}
		}
		note(do(t, http.MethodGet, "http://"+s.Addr+"/login?access_token="+token+"&state="+state, append(binding, navigation...)...))
	}
	kinds := make(map[string]bool)
	for name, value := range issued {
		kinds[strings.TrimRight(name, "0123456789abcdef")] = true
		for _, line := range []string{`"` + value + `"`, "?x=" + value + "&y", "=" + value + ";"} {
			if len(leaks(line)) == 0 {
				t.Errorf("%s would not be seen in %s", name, line)
			}
		}
	}
	if len(kinds) != 8 {
		t.Errorf("these were issued: %v", kinds)
	}
}
