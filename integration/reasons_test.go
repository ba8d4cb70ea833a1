package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// reasonSite has a gate for each policy that a denial needs.
const reasonSite = `{addr} {
	bws /bound* {
		bcid bioid/9876/12346
	}
	bws /old* {
		max_age 1s
	}
	bws /alive* {
		allow livenessdetection
	}
	bws /search* {
		allow identification
		min_score 0.5
		min_margin 0.25
	}
	bws /challenge* {
		require challenge
	}
	bws /tight* tight
	bws /once* {
		once
	}
	bws /idle* {
		session 1m {
			idle 1s
		}
	}
	bws /broken* broken {
		once
	}
	bws /plain*
	@noted path /once* /idle*
	respond @noted "no proxy, which would log the identity headers"
	reverse_proxy {app}
}`

// reasonServices are the service of most gates, one that hears each client once, and one whose storage is none.
func reasonServices(t *testing.T, endpoint string) string {
	const timeout = "timeout 500ms"
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return serviceOption("", endpoint, timeout, "max_inflight 1", "client_rate 1000 1s") +
		serviceOption("tight", endpoint, timeout, "client_rate 1 1h") +
		serviceOption("broken", endpoint, timeout, "storage file_system "+file)
}

// denialRow is a request that would be allowed but for one thing.
type denialRow struct {
	reason, path string
	status       int
	retry        bool
	headers      func(*bwstest.Server) []string
}

func denialRows() []denialRow {
	const (
		unauthorized, forbidden = http.StatusUnauthorized, http.StatusForbidden
		both                    = `{"Action":"verification","BCID":"bioid/9876/12345","Success":true,"Error":"LiveDetectionFailed"}`
	)
	now := time.Now()
	other := bwstest.New(bwstest.Config{})
	foreign := bwstest.New(bwstest.Config{AppID: "another"})
	down := bwstest.Answer{Status: http.StatusServiceUnavailable}

	return []denialRow{
		{"no_token", "/plain", unauthorized, false, func(*bwstest.Server) []string { return nil }},
		{"malformed_token", "/plain", unauthorized, false, presenting(func(*bwstest.Server) string { return "nonsense" })},
		{"ambiguous_token", "/plain", http.StatusBadRequest, false, func(s *bwstest.Server) []string {
			return append(good(s), good(s)...)
		}},
		{"expired_token", "/plain", unauthorized, false, tokenOf(bwstest.TokenSpec{BCID: alice, NotBefore: now.Add(-time.Hour)}, success)},
		{"not_yet_valid", "/plain", unauthorized, false, tokenOf(bwstest.TokenSpec{BCID: alice, NotBefore: now.Add(time.Hour)}, success)},
		{"foreign_token", "/plain", unauthorized, false, presenting(func(*bwstest.Server) string {
			return foreign.Token(bwstest.TokenSpec{BCID: alice})
		})},
		{"rejected_token", "/plain", unauthorized, false, presenting(func(*bwstest.Server) string {
			return other.Token(bwstest.TokenSpec{BCID: alice})
		})},
		{"pending", "/plain", unauthorized, true, tokenOf(bwstest.TokenSpec{BCID: alice})},
		{"too_old", "/old", unauthorized, false, tokenOf(bwstest.TokenSpec{BCID: alice, NotBefore: now.Add(-time.Minute)}, success)},

		{"not_recognized", "/plain", forbidden, false, failing("")},
		{"live_detection_failed", "/plain", forbidden, false, failing(bws.LiveDetectionFailed)},
		{"challenge_response_failed", "/plain", forbidden, false, failing(bws.ChallengeResponseFailed)},
		{"no_template", "/plain", forbidden, false, failing(bws.NoTemplateAvailable)},
		{"not_enough_samples", "/plain", forbidden, false, failing(bws.NotEnoughSamples)},
		{"operation_failed", "/plain", forbidden, false, failing("SomethingElse")},
		{"job_timed_out", "/plain", http.StatusServiceUnavailable, true, failing(bws.ExecutionOfJobTimedOut)},

		{"contradiction", "/plain", forbidden, false, tokenOf(bwstest.TokenSpec{BCID: alice}, bwstest.Outcome{Success: true, BCID: bob})},
		{"action_not_allowed", "/alive", forbidden, false, good},
		{"bcid_not_allowed", "/bound", forbidden, false, good},
		{"score_too_low", "/search", forbidden, false, found(0.4)},
		{"margin_too_small", "/search", forbidden, false, found(0.9, 0.8)},
		{"not_live", "/plain", forbidden, false, tokenOf(bwstest.TokenSpec{BCID: alice, Task: bws.TaskVerify | 3}, success)},
		{"no_challenge", "/challenge", forbidden, false, good},

		{"too_early", "/once", http.StatusTooEarly, false, func(s *bwstest.Server) []string { return append(good(s), "Early-Data: 1") }},
		{"ledger_unavailable", "/broken", http.StatusServiceUnavailable, false, good},
		{"spent", "/once", unauthorized, false, good},
		{"revoked", "/plain", unauthorized, false, good},
		{"session_expired", "/idle", unauthorized, false, good},

		{"rate_limited", "/tight", http.StatusTooManyRequests, true, good},
		{"service_busy", "/plain", http.StatusServiceUnavailable, true, good},
		{"service_unavailable", "/plain", http.StatusServiceUnavailable, true, answered(down, down)},
		{"service_timeout", "/plain", http.StatusGatewayTimeout, false, answered(bwstest.Answer{Hang: true})},
		{"service_misconfigured", "/plain", http.StatusBadGateway, false, answered(bwstest.Answer{Status: http.StatusUnauthorized,
			Header: http.Header{"WWW-Authenticate": {`Basic realm="bws"`}}})},
		{"service_invalid", "/plain", http.StatusBadGateway, false, answered(bwstest.Answer{Body: []byte(both)})},
	}
}

// Every denial reason, in a running Caddy.
func TestEveryReason(t *testing.T) {
	covers(t, 64)
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	c := startCaddy(t, reasonServices(t, service.URL), strings.ReplaceAll(reasonSite, "{app}", app.Listener.Addr().String()))
	provoked := make(map[string]bool)
	for _, row := range denialRows() {
		provoked[row.reason] = true
		t.Run(row.reason, func(t *testing.T) {
			headers, path := row.headers(service), row.path+"/"+row.reason
			switch row.reason {
			case "rate_limited":
				do(t, http.MethodGet, "http://"+c.Addr+row.path, failing("")(service)...)
			case "service_busy":
				defer occupy(t, c, service)()
			case "spent":
				do(t, http.MethodGet, "http://"+c.Addr+row.path, headers...)
			case "revoked":
				token := strings.TrimPrefix(headers[0], "X-BWS-Token: ")
				// The broken service is the only one that cannot store it.
				post(t, "http://"+c.Admin+"/bws/revoke", `{"token":"`+token+`"}`, http.StatusServiceUnavailable)
			case "session_expired":
				headers = expiredSession(t, "http://"+c.Addr+row.path, headers)
			}
			app.take()
			checkDenial(t, do(t, http.MethodGet, "http://"+c.Addr+path, headers...), row)
			if reached := app.take(); len(reached) > 0 {
				t.Errorf("the app is reached: %+v", reached)
			}
			checkDenialLog(t, c, path, row.reason, headers)
		})
	}
	for reason := range declaredReasons(t) {
		// internal_error takes a mistake of ours.
		if !provoked[reason] && reason != "internal_error" {
			t.Errorf("nothing provokes %s", reason)
		}
	}
}

// expiredSession begins a session, waits for its end, and returns it.
func expiredSession(t *testing.T, url string, token []string) []string {
	t.Helper()
	session := begin(t, url, token)
	eventually(t, "the session to end", func() bool {
		return do(t, http.MethodGet, url, session).reason() == "session_expired"
	})
	return []string{session}
}

// occupy has a question under way until the function that it returns is called.
func occupy(t *testing.T, c *caddyProcess, service *bwstest.Server) (release func()) {
	t.Helper()
	calls := service.Calls("/result")
	headers := answered(bwstest.Answer{Hang: true})(service)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		got, err := ask(t.Context(), client, http.MethodGet, "http://"+c.Addr+"/plain", "", headers...)
		if err != nil || got.reason() != "service_timeout" {
			t.Errorf("the question under way came to %+v, %v", got, err)
		}
	}()
	eventually(t, "the question is under way", func() bool { return service.Calls("/result") > calls })
	return func() { <-answered }
}

func checkDenial(t *testing.T, got *answer, row denialRow) {
	t.Helper()
	if got.StatusCode != row.status || got.reason() != row.reason || got.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s, want %d %s", got.StatusCode, got.Body, row.status, row.reason)
	}
	if got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control is %q", got.Header["Cache-Control"])
	}
	if retry := got.Header.Get("Retry-After") != ""; retry != row.retry {
		t.Errorf("Retry-After is %q", got.Header["Retry-After"])
	}
	var challenge string
	if row.status == http.StatusUnauthorized {
		challenge = `BWS realm="127.0.0.1", error="` + row.reason + `"`
	}
	if row.reason == "too_old" {
		challenge += `, max_age="1"`
	}
	if got.Header.Get("WWW-Authenticate") != challenge {
		t.Errorf("the challenge is %q, want %q", got.Header["Www-Authenticate"], challenge)
	}
}

// auditLine is a part of the lines of the audit log, which name persons.
const auditLine = `"logger":"http.handlers.bws.audit"`

// checkDenialLog checks that the gate logs one line with the reason, and nothing that names the person or opens anything, and that
// there is one line in the audit log.
func checkDenialLog(t *testing.T, c *caddyProcess, path, reason string, headers []string) {
	t.Helper()
	c.waitForLog(`"path":"` + path + `","decision":"deny"`)
	lines, audited := 0, 0
	for line := range strings.Lines(c.logs.String()) {
		audit := strings.Contains(line, auditLine)
		if strings.Contains(line, `"path":"`+path+`"`) {
			if audit {
				audited++
			} else {
				lines++
			}
			if !strings.Contains(line, `"level":"info"`) || !strings.Contains(line, `"reason":"`+reason+`"`) {
				t.Errorf("the log says %s, want the reason %s at INFO", line, reason)
			}
		}
		for _, secret := range append(headers, bwstest.AppSecret, alice.String(), "Basic ") {
			if audit && secret == alice.String() {
				continue
			}
			if secret = strings.TrimPrefix(secret, "X-BWS-Token: "); secret != "nonsense" && strings.Contains(line, secret) {
				t.Errorf("the log shows %s:\n%s", secret, line)
			}
		}
	}
	if lines != 1 || audited != 1 {
		t.Errorf("%d lines about %s, and %d in the audit log, want one each", lines, path, audited)
	}
}

// declaredReasons are the reasons that the policy knows.
func declaredReasons(t *testing.T) map[string]bool {
	t.Helper()
	source, err := os.ReadFile("../internal/policy/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[string]bool)
	for _, match := range regexp.MustCompile(`\bReason\s+= "(\w+)"`).FindAllSubmatch(source, -1) {
		declared[string(match[1])] = true
	}
	return declared
}
