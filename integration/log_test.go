package integration

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Security case 101: of whoever was let in, or not, the gate's own log names nobody and rates nobody, at DEBUG too. The other
// loggers are Caddy's: at DEBUG, its proxy logs the headers that it sends to the app.
func TestLogNamesNobody(t *testing.T) {
	covers(t, 101)
	s := startSite(t, "", `	bws /search* {
		allow identification
		min_score 0.5
		min_margin 0.25
	}
	bws /bound* {
		bcid `+bob.String()+`
	}
	bws /report* {
		bcid `+bob.String()+`
		report_only
	}
	bws /plain*`)
	for _, test := range []struct {
		path, reason string
		headers      []string
	}{
		{"/plain/allowed", "", good(s.service)},
		{"/plain/contradiction", "contradiction", tokenOf(bwstest.TokenSpec{BCID: alice}, bwstest.Outcome{Success: true, BCID: bob})(s.service)},
		{"/plain/failed", "not_recognized", failing("")(s.service)},
		{"/bound/denied", "bcid_not_allowed", good(s.service)},
		{"/report/denied", "", good(s.service)},
		{"/search/found", "", found(0.8125, 0.4375)(s.service)},
		{"/search/low", "score_too_low", found(0.4375)(s.service)},
		{"/search/alike", "margin_too_small", found(0.8125, 0.6875)(s.service)},
	} {
		got := do(t, http.MethodGet, "http://"+s.Addr+test.path, test.headers...)
		if passed := got.StatusCode == http.StatusOK; got.reason() != test.reason || passed != (test.reason == "") {
			t.Errorf("%s: got %d %s, want %q", test.path, got.StatusCode, got.Body, test.reason)
		}
		s.waitForLog(`"path":"` + test.path + `"`)
	}
	lines := 0
	for line := range strings.Lines(s.logs.String()) {
		if !strings.Contains(line, `"logger":"http.handlers.bws"`) && !strings.Contains(line, `"logger":"bws`) {
			continue
		}
		lines++
		for _, secret := range []string{"bioid", "/9876", "0.8125", "0.4375", "0.6875", "eyJ", bwstest.AppSecret} {
			if strings.Contains(line, secret) {
				t.Errorf("the log shows %s: %s", secret, line)
			}
		}
	}
	if lines < 8 {
		t.Errorf("%d lines are of the gates, want one for each request:\n%s", lines, s.logs.String())
	}
}

// Caddy's logs show tokens: in the header of requests that are logged, in the address by which browsers return from a login, and in
// where they are sent to. The format bws keeps them out, and without it there is a warning.
func TestLogFormat(t *testing.T) {
	covers(t, 101)
	for _, test := range []struct {
		name, format string
		leaks        bool
	}{
		{"bws", "format bws", false},
		{"json", "format json", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := bwstest.NewServer(t, bwstest.Config{})
			c := startCaddy(t, "log {\n"+test.format+"\n}\n"+serviceOption("", service.URL), `{addr} {
	log {
		output stdout
		`+test.format+`
	}
	bws /login {
		bcid `+alice.String()+`
		login {
			ui `+service.UI+`
		}
	}
	bws /down
	reverse_proxy `+freeAddr(t)+`
}`)
			c.leaks = test.leaks
			token, state := beginLogin(t, "http://"+c.Addr+"/login", func(got *answer) *answer { return got })
			c.waitForLog(`"Location":["` + service.UI)
			do(t, http.MethodGet, "http://"+c.Addr+"/login?access_token="+token+"&state="+state, navigation...)
			c.waitForLog(`"uri":"/login?access_token=`)
			if got := do(t, http.MethodGet, "http://"+c.Addr+"/down", good(service)...); got.StatusCode != http.StatusBadGateway {
				t.Fatalf("got %d", got.StatusCode)
			}
			c.waitForLog(`"logger":"http.log.access.log0","msg":"handled request","request":{`)
			seen := leaks(c.logs.String())
			for _, mark := range []string{`"Location":["`, `"uri":"/login?access_token=eyJ`, `"logger":"http.log.error.log0"`, `"X-Bws-Token":["`} {
				shows := slices.ContainsFunc(seen, func(leak string) bool { return strings.Contains(leak, mark) })
				if shows != test.leaks {
					t.Errorf("the log shows a token at %s: %v, want %v", mark, shows, test.leaks)
				}
			}
			if redacted := strings.Contains(c.logs.String(), `"uri":"/login?access_token=REDACTED&state=REDACTED"`); redacted == test.leaks {
				t.Errorf("what the login has come back with is redacted: %v", redacted)
			}
			if warned := strings.Contains(c.logs.String(), "a log shows tokens"); warned != test.leaks {
				t.Errorf("there is a warning: %v, want %v", warned, test.leaks)
			}
		})
	}
}
