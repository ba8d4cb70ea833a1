package caddybws

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/map"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/forwardauth"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/explain"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// adapted is a Caddyfile in JSON.
func adapted(t testing.TB, caddyfile string) []byte {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// siteConfig is a configuration of one site, which shows the options of its one gate or what else is in it.
func siteConfig(t testing.TB, site string) []byte {
	t.Helper()
	return adapted(t, "{\n\tbws {\n\t\tapp_id app\n\t\tapp_secret {env.NOT_SET}\n\t\tcache_ttl 2m\n\t}\n}\nhttp://app.example {\n"+site+"\n}")
}

const verifiedAlice = `{"Success":true,"Action":"verification","BCID":"bioid/9876/12345"}`

// ask is a question about a GET request that edits are made to.
func ask(edits ...func(*explain.Question)) *explain.Question {
	q := &explain.Question{Method: "GET", URL: "http://app.example/page", Client: "192.0.2.1", Now: start}
	for _, edit := range edits {
		edit(q)
	}
	return q
}

func withResult(result string) func(*explain.Question) {
	return func(q *explain.Question) { q.Result = []byte(result) }
}

func withFault(fault policy.Reason) func(*explain.Question) {
	return func(q *explain.Question) { q.Fault = fault }
}

func withHeader(lines ...string) func(*explain.Question) {
	return func(q *explain.Question) { q.Header = append(q.Header, lines...) }
}

func withClaims(c explain.Claims) func(*explain.Question) {
	c.Given = true
	return func(q *explain.Question) { q.Claims = c }
}

func inSession(age, idle time.Duration) func(*explain.Question) {
	return func(q *explain.Question) { q.SessionAge, q.Idle, q.Result = &age, idle, []byte(verifiedAlice) }
}

func rehearsed(t testing.TB, config []byte, q *explain.Question) *explain.Report {
	t.Helper()
	report, err := rehearse(t.Context(), config, q)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// What a rehearsal says is what the gate does, given the same evidence.
func TestRehearsalAgreesWithTheGate(t *testing.T) {
	for name, test := range reasonRows() {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			q := ask(func(q *explain.Question) { q.Token, q.Now = test.token(s), s.clock.Now() })
			if _, err := bws.ParseToken(q.Token); err == nil && test.calls > 0 {
				copyAnswer(t, s, q)
			}
			config := configOf(t, test.gate)
			report := rehearsed(t, config, q)
			if report.Reason != test.reason || report.Denied() != (test.reason != "") {
				t.Errorf("got %s %s, want %q", report.Decision, report.Reason, test.reason)
			}
		})
	}
}

// copyAnswer has a question say what the emulator says of its token.
func copyAnswer(t *testing.T, s *site, q *explain.Question) {
	t.Helper()
	for range 2 { // the second answer counts if the first is a passing fault
		r, _ := http.NewRequest(http.MethodGet, bws.DefaultEndpoint+"/result?"+url.Values{"access_token": {q.Token}}.Encode(), nil)
		r.SetBasicAuth(bwstest.AppID, bwstest.AppSecret)
		r.Header.Set("Accept", "application/json")
		res, err := inProcess{s.Service}.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		switch res.StatusCode {
		case http.StatusOK:
			q.Result = body
		case http.StatusBadRequest:
			q.Fault = policy.RejectedToken
		case http.StatusUnauthorized:
			q.Fault = policy.ServiceMisconfigured
		case http.StatusInternalServerError:
			q.Fault = policy.ServiceUnavailable
		case http.StatusFound:
			q.Fault = policy.ServiceInvalid
		case http.StatusServiceUnavailable:
			continue
		}
		return
	}
}

// configOf is a configuration with this gate alone.
func configOf(t *testing.T, g Gate) []byte {
	t.Helper()
	gate := caddyconfig.JSONModuleObject(&g, "handler", "bws", nil)
	return fmt.Appendf(nil, `{"apps":{"bws":{"services":{"default":{"app_id":%q,"app_secret":"{env.NOT_SET}"}}},
		"http":{"servers":{"srv":{"listen":[":80"],"routes":[{"handle":[%s]}]}}}}}`, bwstest.AppID, gate)
}

// everyReason leads to each reason.
var everyReason = map[policy.Reason]struct {
	gate string
	q    *explain.Question
}{
	policy.NoToken:         {"", ask()},
	policy.AmbiguousToken:  {"", ask(withHeader("X-BWS-Token: a", "X-BWS-Token: b"))},
	policy.MalformedToken:  {"", ask(withHeader("X-BWS-Token: a"))},
	policy.ExpiredToken:    {"", ask(withResult(verifiedAlice), withClaims(explain.Claims{Age: 11 * time.Minute}))},
	policy.NotYetValid:     {"", ask(withResult(verifiedAlice), withClaims(explain.Claims{Age: -2 * time.Minute}))},
	policy.ForeignToken:    {"", ask(withResult(verifiedAlice), withClaims(explain.Claims{App: "another"}))},
	policy.SessionExpired:  {"session {\n idle 1m\n}", ask(inSession(10*time.Minute, 2*time.Minute))},
	policy.TooEarly:        {"once", ask(withResult(verifiedAlice), withHeader("Sec-Purpose: prefetch"))},
	policy.RejectedToken:   {"", ask(withFault(policy.RejectedToken))},
	policy.Pending:         {"", ask(withFault(policy.Pending))},
	policy.RateLimited:     {"", ask(withFault(policy.RateLimited))},
	policy.ServiceBusy:     {"", ask(withFault(policy.ServiceBusy))},
	policy.ServiceTimeout:  {"", ask(withFault(policy.ServiceTimeout))},
	policy.ServiceInvalid:  {"", ask(withResult(`{"Success":1}`))},
	policy.InternalError:   {"", ask(withFault(policy.InternalError))},
	policy.Spent:           {"once", ask(withResult(verifiedAlice), withFault(policy.Spent))},
	policy.Revoked:         {"session", ask(inSession(time.Minute, 0), withFault(policy.Revoked))},
	policy.NotRecognized:   {"", ask(withResult(`{"Success":false,"Action":"verification"}`))},
	policy.NoTemplate:      {"", ask(withResult(`{"Success":false,"Error":"NoTemplateAvailable"}`))},
	policy.JobTimedOut:     {"", ask(withResult(`{"Success":false,"Error":"ExecutionOfJobTimedOut"}`))},
	policy.OperationFailed: {"", ask(withResult(`{"Success":false,"Error":"SomethingElse"}`))},
	policy.Contradiction:   {"", ask(withResult(verifiedAlice), withClaims(explain.Claims{BCID: "bioid/9876/1"}))},
	policy.TooOld:          {"max_age 1m", ask(withResult(verifiedAlice), withClaims(explain.Claims{Age: 2 * time.Minute}))},
	policy.BCIDNotAllowed:  {"bcid bioid/9876/1", ask(withResult(verifiedAlice))},
	policy.NoChallenge:     {"require challenge", ask(withResult(verifiedAlice))},
	policy.NotLive: {"", ask(withResult(verifiedAlice), withClaims(explain.Claims{
		Task: "verify", Conditions: []string{},
	}))},
	policy.ServiceUnavailable:      {"", ask(withFault(policy.ServiceUnavailable))},
	policy.ServiceMisconfigured:    {"", ask(withFault(policy.ServiceMisconfigured))},
	policy.LedgerUnavailable:       {"once", ask(withResult(verifiedAlice), withFault(policy.LedgerUnavailable))},
	policy.LiveDetectionFailed:     {"", ask(withResult(`{"Success":false,"Error":"LiveDetectionFailed"}`))},
	policy.ChallengeResponseFailed: {"", ask(withResult(`{"Success":false,"Error":"ChallengeResponseFailed"}`))},
	policy.NotEnoughSamples:        {"", ask(withResult(`{"Success":false,"Error":"NotEnoughSamples"}`))},
	policy.ActionNotAllowed:        {"allow livenessdetection", ask(withResult(verifiedAlice))},
	policy.ScoreTooLow: {"allow identification\nmin_score 0.5", ask(withResult(
		`{"Success":true,"Action":"identification","BCID":"bioid/9876/0","Matches":[{"BCID":"bioid/9876/1","Score":0.4}]}`))},
	policy.MarginTooSmall: {"allow identification\nmin_score 0.5\nmin_margin 0.2", ask(withResult(
		`{"Success":true,"Action":"identification","BCID":"bioid/9876/0","Matches":[{"BCID":"bioid/9876/1","Score":0.7},` +
			`{"BCID":"bioid/9876/2","Score":0.6}]}`))},
}

// For every reason there is a request that a rehearsal denies with it, and says what was found, what demands something else, and what
// to do.
func TestEveryReasonIsExplained(t *testing.T) {
	for _, entry := range explain.Reasons {
		t.Run(string(entry.Reason), func(t *testing.T) {
			test, ok := everyReason[entry.Reason]
			if !ok {
				t.Fatal("nothing leads to it")
			}
			report := rehearsed(t, siteConfig(t, "bws {\n"+test.gate+"\n}\nrespond hello"), test.q)
			if !report.Denied() || report.Reason != entry.Reason {
				t.Fatalf("got %s %s", report.Decision, report.Reason)
			}
			g := report.Steps[0].Gate
			failed := slices.IndexFunc(g.Options, func(o explain.Option) bool { return o.Verdict == explain.Failed })
			if failed < 0 || g.Found == "" || g.Demanded == "" || g.Meaning != entry.Meaning || g.Remedy != entry.Operator {
				t.Errorf("not explained: %+v", g)
			}
			if g.Answer == nil || g.Answer.Status != entry.Status || denials[entry.Reason].status != entry.Status {
				t.Errorf("the client gets %+v, the reason's status is %d", g.Answer, entry.Status)
			}
		})
	}
}

// What is wrong with a result is said in words.
func TestRehearsalSaysWhatIsWrongWithAResult(t *testing.T) {
	g := rehearsed(t, siteConfig(t, "bws"), ask(withResult(`{"Success":true,"Action":"verification"}`))).Steps[0].Gate
	if !strings.Contains(g.Found, "BCID is missing") {
		t.Errorf("found %s", g.Found)
	}
}

// Every option that fails is shown, and what was not looked at is not called good.
func TestRehearsalShowsAllThatFails(t *testing.T) {
	config := siteConfig(t, "bws {\nmax_age 1m\nbcid bioid/9876/1\nrequire challenge\nonce\n}")
	q := ask(withResult(verifiedAlice), withClaims(explain.Claims{Age: 2 * time.Minute}))
	verdicts := make(map[string]explain.Verdict)
	for _, o := range rehearsed(t, config, q).Steps[0].Gate.Options {
		verdicts[o.Name] = o.Verdict
	}
	for option, want := range map[string]explain.Verdict{
		"token": explain.OK, "result": explain.OK, "allow": explain.OK, "max_age": explain.Failed, "bcid": explain.AlsoFails,
		"require": explain.AlsoFails, "once": explain.Skipped,
	} {
		if verdicts[option] != want {
			t.Errorf("%s: got %q, want %q", option, verdicts[option], want)
		}
	}
}

// The reason is that of the first gate that denies, whatever the next one would say.
func TestRehearsalNamesTheFirstReason(t *testing.T) {
	config := siteConfig(t, "route {\nbws {\nallow enrollment\n}\nbws {\nbcid bioid/9876/1\n}\n}")
	if report := rehearsed(t, config, ask(withResult(verifiedAlice))); report.Reason != policy.ActionNotAllowed {
		t.Errorf("got %q", report.Reason)
	}
	// A request that is answered for a gate does not come to one that would let it through.
	config = siteConfig(t, "route {\nbws {\nallow enrollment\n}\nbws\n}")
	if report := rehearsed(t, config, ask(withResult(verifiedAlice))); !report.Denied() {
		t.Errorf("got %s", report.Decision)
	}
}

// Of two claims that are wrong, both are shown.
func TestRehearsalShowsAllClaims(t *testing.T) {
	q := ask(withResult(verifiedAlice), withClaims(explain.Claims{Age: time.Hour, App: "another"}))
	for _, o := range rehearsed(t, siteConfig(t, "bws"), q).Steps[0].Gate.Options {
		if o.Name == "app_id" && o.Verdict != explain.AlsoFails {
			t.Errorf("app_id: got %q", o.Verdict)
		}
	}
}

// What a route consists of decides which gates a request meets.
func TestRehearsalWalksRoutes(t *testing.T) {
	allowed := withResult(verifiedAlice)
	path := func(path string) func(*explain.Question) {
		return func(q *explain.Question) { q.URL = "http://app.example" + path }
	}
	user := func(name string) func(*explain.Question) { return func(q *explain.Question) { q.User = name } }
	const enrollment = "bws {\nallow enrollment\n}\n"
	for name, test := range map[string]struct {
		site  string
		q     *explain.Question
		want  string // the decision
		steps string
	}{
		"gate":           {"bws\nrespond hello", ask(allowed), "allow", "bws:allow static_response"},
		"another path":   {"bws /admin\nrespond hello", ask(path("/")), "open", "bws:unmatched static_response"},
		"answered first": {"route {\nrespond hello\nbws\n}", ask(), "open", "static_response bws:unreached"},
		"report only":    {"bws {\nreport_only\n}\nrespond hello", ask(), "allow", "bws:deny static_response"},
		"two gates":      {"route {\nbws\n" + enrollment + "respond hello\n}", ask(allowed), "deny", "bws:allow bws:deny static_response"},
		"denied first":   {"route {\n" + enrollment + "bws\nrespond hello\n}", ask(allowed), "deny", "bws:deny bws:allow? static_response"},
		"one of a group": {
			"handle /a {\nbws\n}\nhandle {\nrespond hello\n}", ask(path("/b")), "open", "bws:unmatched static_response",
		},
		"first of a group": {
			"handle /page {\nheader X a\n}\nhandle {\nbws\n}", ask(), "open", "bws:unmatched",
		},
		"the other of a group": {
			"handle /a {\nrespond hello\n}\nhandle {\nbws\n}", ask(path("/a")), "open", "static_response bws:unreached",
		},
		"rewritten": {
			"route {\nrewrite * /a\nbws /a\nrespond hello\n}", ask(path("/b"), allowed), "allow", "bws:allow static_response",
		},
		"bound to a user": {
			"basic_auth {\nalice x\n}\nmap {http.auth.user.id} {class} {\nalice 12345\ndefault none\n}\nbws {\nbcid bioid/9876/{class}\n}",
			ask(allowed, user("alice")), "allow", "authentication bws:allow",
		},
		"bound to another user": {
			"basic_auth {\nalice x\n}\nmap {http.auth.user.id} {class} {\nalice 12345\ndefault none\n}\nbws {\nbcid bioid/9876/{class}\n}",
			ask(allowed, user("bob")), "deny", "authentication bws:deny",
		},
		"forwarded": {
			"forward_auth auth.example {\nuri /\n}\nbws\nrespond hello", ask(allowed), "allow",
			"reverse_proxy bws:allow static_response",
		},
		"logging out": {"bws_logout /logout\nbws", ask(path("/logout")), "open", "bws_logout bws:unreached"},
	} {
		t.Run(name, func(t *testing.T) {
			report := rehearsed(t, siteConfig(t, strings.ReplaceAll(test.site, "alice x",
				"alice $2a$10$GKsWYDtWO0JIu/acqF74wucZwARi2OSRL2bkrNyxX2Tp9rtOuFVva")), test.q)
			if steps := stepsOf(report); report.Decision != test.want || steps != test.steps {
				t.Errorf("got %s by way of %s, want %s by way of %s", report.Decision, steps, test.want, test.steps)
			}
			if warned := slices.ContainsFunc(report.Warnings, func(w string) bool { return strings.HasPrefix(w, "no gate") }); warned !=
				(test.want == explain.Open && name != "logging out") {
				t.Errorf("warned of an open request: %v", warned)
			}
		})
	}
}

// Named routes are walked through where they are invoked, and a route that is terminal ends the walk.
func TestRehearsalWalksSites(t *testing.T) {
	const service = "{\n\tbws {\n\t\tapp_id app\n\t\tapp_secret s\n\t}\n}\n"
	for name, test := range map[string]struct{ config, want, steps string }{
		"named route": {
			"&(gated) {\nbws\n}\nhttp://app.example {\ninvoke gated\nrespond hello\n}", "allow", "bws:allow static_response",
		},
		"another site":   {"http://app.example {\nheader X a\n}\nhttp:// {\nbws\n}", "open", "bws:unreached"},
		"login":          {"http://app.example {\nbws {\nbcid bioid/9876/12345\nlogin\n}\n}", "allow", "bws:allow"},
		"bearer":         {"http://app.example {\nbws {\ntoken bearer\n}\n}", "allow", "bws:allow"},
		"not this route": {"http://app.example {\n@x not path /page\nbws @x\n}", "open", "bws:unmatched"},
	} {
		t.Run(name, func(t *testing.T) {
			report := rehearsed(t, adapted(t, service+test.config), ask(withResult(verifiedAlice)))
			if steps := stepsOf(report); report.Decision != test.want || steps != test.steps {
				t.Errorf("got %s by way of %s, want %s by way of %s", report.Decision, steps, test.want, test.steps)
			}
		})
	}
}

// A server that speaks no TLS takes a request for HTTPS only from a proxy that it trusts.
func TestRehearsalKnowsHTTPS(t *testing.T) {
	config := adapted(t, "{\n\tservers {\n\t\ttrusted_proxies static 10.0.0.0/8\n\t}\n\tbws {\n\t\tapp_id app\n\t\tapp_secret s\n\t}\n}\n"+
		"http://app.example:8080 {\nbws\n}")
	from := func(client string) *explain.Question {
		return ask(withResult(verifiedAlice), withHeader("X-Forwarded-Proto: https"), func(q *explain.Question) {
			q.URL, q.Server, q.Client = "https://app.example/", ":8080", client
		})
	}
	for client, want := range map[string]string{"10.1.1.1": "__Host-bws_token", "192.0.2.1": "bws_token"} {
		report := rehearsed(t, config, from(client))
		tokens := report.Steps[0].Gate.Options[0]
		if tokens.Found != "cookie "+want || (len(report.Notes) > 0) != (want == "bws_token") {
			t.Errorf("from %s: got %+v, notes %q", client, tokens, report.Notes)
		}
	}
}

// stepsOf are the handlers of a report, in one line.
func stepsOf(r *explain.Report) string {
	words := make([]string, len(r.Steps))
	for i, s := range r.Steps {
		words[i] = s.Handler
		switch {
		case s.Gate != nil:
			words[i] += ":" + s.Gate.Decision
			if s.NotReached {
				words[i] += "?"
			}
		case s.NotMatched != nil:
			words[i] += ":unmatched"
		case s.NotReached && s.Handler == "bws":
			words[i] += ":unreached"
		}
	}
	return strings.Join(words, " ")
}

// What the client gets is what the options of the gate say.
func TestRehearsalShowsTheAnswer(t *testing.T) {
	page := withHeader("Accept: text/html")
	for name, test := range map[string]struct {
		gate string
		q    *explain.Question
		kind string
		code int
	}{
		"problem":  {"", ask(), "problem", 401},
		"page":     {"", ask(page), "page", 401},
		"error":    {"deny error", ask(), "error", 401},
		"redirect": {"deny redirect https://login.example/", ask(page), "redirect", 303},
		"login":    {"bcid bioid/9876/1\nlogin", ask(page), "login", 303},
		"no login": {"bcid bioid/9876/1\nlogin", ask(), "problem", 401},
		"a session that stayed behind": {
			"session {\nsame_site strict\n}", ask(page, withHeader("Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: cross-site")), "detour", 401,
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer := rehearsed(t, siteConfig(t, "bws {\n"+test.gate+"\n}"), test.q).Steps[0].Gate.Answer
			if answer == nil || answer.Kind != test.kind || answer.Status != test.code {
				t.Errorf("got %+v, want %s %d", answer, test.kind, test.code)
			}
			if strings.Contains(answer.Header.Get("Location"), "access_token") {
				t.Errorf("the location shows a token: %s", answer.Header)
			}
		})
	}
}

func TestRehearsalWarns(t *testing.T) {
	config := siteConfig(t, "log {\noutput file /nowhere/access.log\n}\n@post method POST\nroute {\nrewrite * /a\nbws /a {\nrequire none\nsession\n}\n"+
		"bws @post {\nbcid bioid/1/2\nlogin\n}\n}")
	q := ask(withResult(verifiedAlice), func(q *explain.Question) { q.Method = "POST" })
	report := rehearsed(t, config, q)
	warnings := slices.Clone(report.Warnings)
	for _, step := range report.Steps {
		if step.Gate != nil {
			warnings = append(warnings, step.Gate.Warnings...)
		}
	}
	for _, want := range []string{
		"cache_ttl is above a minute (2m0s)", "no bcid", "plain-http", "require none", "after a rewrite", "method or query", "a log shows tokens",
	} {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("no warning of %q among %q", want, warnings)
		}
	}
}

// Sessions are looked at as the gate does it, and so is the token where a session has ended.
func TestRehearsalOpensSessions(t *testing.T) {
	config := siteConfig(t, "bws {\nsession 30m {\nidle 10m\n}\nmax_age 1h\n}")
	for name, test := range map[string]struct {
		age, idle time.Duration
		reason    policy.Reason
	}{
		"good":  {20 * time.Minute, 5 * time.Minute, ""},
		"idle":  {20 * time.Minute, 10 * time.Minute, policy.SessionExpired},
		"ended": {30 * time.Minute, 0, policy.SessionExpired},
	} {
		t.Run(name, func(t *testing.T) {
			if report := rehearsed(t, config, ask(inSession(test.age, test.idle))); report.Reason != test.reason {
				t.Errorf("got %q, want %q", report.Reason, test.reason)
			}
		})
	}
	fault := ask(inSession(time.Minute, 0), withFault(policy.LedgerUnavailable))
	if report := rehearsed(t, config, fault); report.Reason != policy.LedgerUnavailable {
		t.Errorf("without a storage: got %q", report.Reason)
	}
	both := ask(inSession(time.Hour, 0), withClaims(explain.Claims{}))
	if report := rehearsed(t, config, both); report.Reason != policy.ExpiredToken {
		t.Errorf("with a token as old as the session: got %q", report.Reason)
	}
}

// What cannot be rehearsed says what to do.
func TestRehearsalErrors(t *testing.T) {
	good := siteConfig(t, "bws")
	for name, test := range map[string]struct {
		config []byte
		q      *explain.Question
		want   string
	}{
		"no JSON":              {[]byte("{"), ask(), "reading the configuration"},
		"unknown field":        {[]byte(`{"x":1}`), ask(), "reading the configuration"},
		"no site":              {[]byte(`{}`), ask(), "give one with a site"},
		"no service":           {adapted(t, "http:// {\nbws\n}"), ask(), `add the global option "bws"`},
		"no request":           {good, ask(func(q *explain.Question) { q.URL = "app.example" }), "write one such as"},
		"header without colon": {good, ask(withHeader("x")), "write it as Name: value"},
		"another port":         {good, ask(func(q *explain.Question) { q.URL = "http://app.example:81/" }), "write the port in the URL"},
		"unknown server":       {good, ask(func(q *explain.Question) { q.Server = "x" }), "use one of srv0"},
		"spent, but what":      {good, ask(withFault(policy.Spent)), "give one"},
		"session of nobody": {
			good, ask(inSession(time.Minute, 0), withResult(`{"Success":false}`)), "give one",
		},
		"unknown task": {
			good, ask(withResult(verifiedAlice), withClaims(explain.Claims{Task: "x"})), "use verify, identify",
		},
		"session of a bad token": {
			good, ask(inSession(time.Minute, 0), func(q *explain.Question) { q.Token = "x" }), "give another one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rehearse(t.Context(), test.config, test.q)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Nothing is left behind, nor reached: no secret is needed, no storage opened, no health check begun.
func TestOfflineConfiguration(t *testing.T) {
	quiet, err := offline([]byte(`{"storage":{"module":"redis"},"logging":{"logs":{"default":{"writer":{"output":"net"}}}},
		"apps":{"bws":{"services":{"default":{"app_id":"a","app_secret":"{env.NOT_SET}","storage":{"module":"redis"}}}},
		"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[
		{"handler":"reverse_proxy","health_checks":{"active":{"uri":"/"}}}]}]}]}]}}}}}`), "/dir")
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"redis", "NOT_SET", "health_checks", `"net"`} {
		if strings.Contains(string(quiet), gone) {
			t.Errorf("%s is still in %s", gone, quiet)
		}
	}
	if !strings.Contains(string(quiet), `"root":"/dir"`) {
		t.Errorf("the storage is not in its directory: %s", quiet)
	}
}
