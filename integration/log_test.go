package integration

import (
	"net/http"
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
