package caddybws

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// audited returns the audit log of a gate.
func audited(g *Gate) *observer.ObservedLogs {
	core, logs := observer.New(zap.DebugLevel)
	g.auditLog = zap.New(core)
	return logs
}

// told is a line of a log in JSON, but for the id of the request, which it must have.
func told(t testing.TB, line observer.LoggedEntry) string {
	t.Helper()
	fields := line.ContextMap()
	if id, ok := fields["request_id"].(string); !ok || len(id) != 36 {
		t.Errorf("the id of the request is %v", fields["request_id"])
	}
	delete(fields, "request_id")
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return line.Level.String() + " " + line.Message + " " + string(text)
}

// Who entered where on which biometric act, and nothing more.
func TestAudit(t *testing.T) {
	s := newSite(t)
	token := func(spec bwstest.TokenSpec, outcome bwstest.Outcome) string {
		token := s.Token(spec)
		s.Perform(token, outcome)
		return token
	}
	search := func(scores ...float64) string {
		var matches []bws.Match
		for i, score := range scores {
			matches = append(matches, bws.Match{BCID: bws.BCID{Storage: "bioid", Partition: 9876, Class: int32(i + 1)}, Score: score})
		}
		return token(bwstest.TokenSpec{BCID: bws.BCID{Storage: "bioid", Partition: 9876}, Task: bws.TaskIdentify | bws.TaskLiveDetect},
			bwstest.Outcome{Success: true, Matches: matches})
	}
	const (
		minute = caddy.Duration(time.Minute)
		route  = `"host":"app.example",`
		rest   = `"method":"GET","path":"/page",`
		alices = `"age":90,"bcid":"bioid/9876/12345",`
	)
	pass := token(bwstest.TokenSpec{BCID: alice}, bwstest.Outcome{Success: true})
	least := 0.5
	searching := Gate{Allow: []bws.Action{bws.Identification}, MinScore: &least, MinMargin: 0.25}
	for name, test := range map[string]struct {
		gate        Gate
		token, want string
	}{
		"allowed": {Gate{}, pass, `info allowed {"action":"verification",` + alices + `"decision":"allow","evidence":"service",` + route + rest +
			`"service":"default"}`},
		"no token": {Gate{}, "", `info denied {"decision":"deny",` + route + rest + `"reason":"no_token","service":"default"}`},
		"malformed": {Gate{}, "nonsense", `info denied {"decision":"deny",` + route + rest +
			`"reason":"malformed_token","service":"default"}`},
		"pending": {Gate{}, s.Token(bwstest.TokenSpec{BCID: alice}), `info denied {"decision":"deny","evidence":"service",` + route + rest +
			`"reason":"pending","service":"default"}`},
		"failed": {Gate{}, token(bwstest.TokenSpec{BCID: alice}, bwstest.Outcome{}), `info denied {"action":"verification","age":90,` +
			`"decision":"deny","evidence":"service",` + route + rest + `"reason":"not_recognized","service":"default"}`},
		"another person": {Gate{BCID: []string{bob.String()}}, pass, `info denied {"action":"verification",` + alices +
			`"decision":"deny","evidence":"cache",` + route + rest + `"reason":"bcid_not_allowed","service":"default"}`},
		"too old": {Gate{MaxAge: minute}, pass, `info denied {"action":"verification",` + alices + `"decision":"deny","evidence":"cache",` +
			route + rest + `"reason":"too_old","service":"default"}`},
		"another act": {Gate{Allow: []bws.Action{bws.LiveDetection}}, pass, `info denied {"action":"verification",` + alices +
			`"decision":"deny","evidence":"cache",` + route + rest + `"reason":"action_not_allowed","service":"default"}`},
		"contradiction": {Gate{}, token(bwstest.TokenSpec{BCID: alice}, bwstest.Outcome{Success: true, BCID: bob}),
			`info denied {"action":"verification","age":90,"decision":"deny","evidence":"service",` + route + rest +
				`"reason":"contradiction","service":"default"}`},
		"a poor match": {searching, search(0.4), `info denied {"action":"identification","age":90,"decision":"deny","evidence":"service",` +
			route + rest + `"reason":"score_too_low","service":"default"}`},
		"matches alike": {searching, search(0.8, 0.7), `info denied {"action":"identification","age":90,"decision":"deny",` +
			`"evidence":"service",` + route + rest + `"reason":"margin_too_small","service":"default"}`},
		"a match": {searching, search(0.8, 0.1), `info allowed {"action":"identification","age":90,"bcid":"bioid/9876/1","decision":"allow",` +
			`"evidence":"service",` + route + rest + `"service":"default"}`},
		"reporting": {Gate{BCID: []string{bob.String()}, ReportOnly: true}, pass, `info would be denied {"action":"verification",` + alices +
			`"decision":"deny","evidence":"cache",` + route + rest + `"reason":"bcid_not_allowed","report_only":true,"service":"default"}`},
		"reporting an allow": {Gate{ReportOnly: true}, pass, `info allowed {"action":"verification",` + alices +
			`"decision":"allow","evidence":"cache",` + route + rest + `"report_only":true,"service":"default"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.service = newService(t, inProcess{s.Service}, s.clock.Skewed(90*time.Second))
			gate := s.gate(t, test.gate)
			if strings.Contains(test.want, `"cache"`) {
				send(t, get("X-BWS-Token: "+test.token), s.gate(t, Gate{}))
			}
			logs := audited(gate)
			r := get("X-BWS-Token: " + test.token)
			r.URL.RawQuery = "secret=1"
			send(t, r, gate)
			if logs.Len() != 1 {
				t.Fatalf("%d lines, want one", logs.Len())
			}
			if got := told(t, logs.All()[0]); got != test.want {
				t.Errorf("the audit log says\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// Evidence names nobody if there are doubts about whose it is, whichever reason the request is denied for.
func TestAuditNames(t *testing.T) {
	proven := evidence.Evidence{Outcome: evidence.Answered, Success: true, Action: bws.Verification, BCID: alice}
	failed, contradictory := proven, proven
	failed.Success, contradictory.Contradictory = false, true
	for _, test := range []struct {
		what     string
		evidence *evidence.Evidence
		reason   policy.Reason
		want     bws.BCID
	}{
		{"allowed", &proven, "", alice},
		{"too old", &proven, policy.TooOld, alice},
		{"spent", &proven, policy.Spent, alice},
		{"another session", &proven, policy.Contradiction, bws.BCID{}},
		{"expired and contradictory", &contradictory, policy.ExpiredToken, bws.BCID{}},
		{"expired and failed", &failed, policy.ExpiredToken, bws.BCID{}},
		{"no evidence", nil, policy.NoToken, bws.BCID{}},
	} {
		v := visit{evidence: test.evidence, decision: policy.Decision{Allow: test.reason == "", Reason: test.reason}}
		if got := v.named(); got != test.want {
			t.Errorf("%s: names %q, want %q", test.what, got, test.want)
		}
	}
}

// A login has two decisions, that there is no evidence, and what has come of it; and then there are those about the session.
func TestAuditLogin(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate(withSession))
	logs := audited(g)
	b := s.browser(t, g)
	ui := b.visit("/page").sentTo(t)
	s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
	b.visit(backFrom(ui, ""))
	b.visit("/page").checkAllowed(t)
	want := []string{"login begun deny no_token <nil>", "login ended allow <nil> " + alice.String(), "allowed allow <nil> " + alice.String()}
	var got []string
	for _, line := range logs.All() {
		f := line.ContextMap()
		text := func(name string) string {
			if s, ok := f[name].(string); ok {
				return s
			}
			return "<nil>"
		}
		got = append(got, strings.Join([]string{line.Message, text("decision"), text("reason"), text("bcid")}, " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the audit log says %q, want %q", got, want)
	}
	checkLogKeeps(t, logs.All(), []string{ui.Get("access_token"), ui.Get("state"), bwstest.AppSecret})
}

// The path is the one that was asked for, and the id the one that everybody sees.
func TestAuditRequest(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	logs := audited(g)
	rewrite := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		r.URL.Path = "/index.php"
		return next.ServeHTTP(w, r)
	})
	o := send(t, get("X-BWS-Token: "+s.goodToken()), rewrite, g)
	o.checkAllowed(t)
	line := logs.All()[0].ContextMap()
	if line["path"] != "/page" {
		t.Errorf("the path is %v", line["path"])
	}
	o.checkPlaceholders(t, map[string]string{"http.request.uuid": line["request_id"].(string)})
}

func TestAuditHash(t *testing.T) {
	s := newSite(t)
	s.service.AuditHash = true
	if err := s.service.provisionAudit(bwstest.AppSecret); err != nil {
		t.Fatal(err)
	}
	g := s.gate(t, Gate{})
	logs := audited(g)
	for range 2 {
		send(t, get("X-BWS-Token: "+s.goodToken()), g).checkAllowed(t)
	}
	for _, line := range logs.All() {
		fields := line.ContextMap()
		// As docs/operations.md tells to calculate it
		if fields["person"] != "a8ec90dd17b861998693fd8ff9aa2986" || fields["bcid"] != nil {
			t.Errorf("the audit log says %v", slices.Sorted(maps.Keys(fields)))
			t.Errorf("the person is %v", fields["person"])
		}
	}
	checkLogKeeps(t, logs.All(), []string{"9876", "12345"})

	of := func(secret string, identity [32]byte, person bws.BCID) string {
		h, err := newAuditHasher(secret, identity)
		if err != nil {
			t.Fatal(err)
		}
		return h.of(person)
	}
	first := of("secret", [32]byte{}, alice)
	for what, other := range map[string]string{
		"person":  of("secret", [32]byte{}, bob),
		"secret":  of("another", [32]byte{}, alice),
		"service": of("secret", [32]byte{1}, alice),
	} {
		if other == first {
			t.Errorf("the hash is the same for another %s", what)
		}
	}
}

// Where nobody reads the audit log, nothing is prepared for it.
func TestAuditOff(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	core, logs := observer.New(zap.WarnLevel)
	g.auditLog = zap.New(core)
	o := send(t, get("X-BWS-Token: "+s.goodToken()), g)
	o.checkAllowed(t)
	if id := caddyhttp.GetVar(o.app.Context(), "uuid"); id != nil || logs.Len() > 0 {
		t.Errorf("the request has the id %v, and %d lines were written", id, logs.Len())
	}
}

// discarding is a core that takes every line and does nothing with it.
type discarding struct{ zapcore.LevelEnabler }

func (d discarding) With([]zap.Field) zapcore.Core        { return d }
func (discarding) Write(zapcore.Entry, []zap.Field) error { return nil }
func (discarding) Sync() error                            { return nil }
func (d discarding) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return c.AddCore(e, d)
}

// BenchmarkAudit is what the audit log costs an allowed request, the id of the request included: with nobody who reads it, with a
// core that throws its lines away, and with one that encodes them before.
func BenchmarkAudit(b *testing.B) {
	s := newSite(b)
	hasher, err := newAuditHasher("secret", s.service.identity)
	if err != nil {
		b.Fatal(err)
	}
	encoding := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel)
	for _, bench := range []struct {
		name   string
		core   zapcore.Core
		hasher *auditHasher
	}{
		{"off", zapcore.NewNopCore(), nil},
		{"discarded", discarding{zap.InfoLevel}, nil},
		{"encoded", encoding, nil},
		{"hashed, discarded", discarding{zap.InfoLevel}, hasher},
	} {
		service := *s.service
		service.auditHash = bench.hasher
		g := provision(b, Gate{}, &service)
		g.auditLog = zap.New(bench.core)
		var q *inquiry
		look := handlerFunc(func(_ http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
			q = &inquiry{Request: r, visit: visitOf(r, r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))}
			return nil
		})
		send(b, get("X-BWS-Token: "+s.goodToken()), g, look)
		audit := func(q *inquiry) {
			g.audit("allowed", q)
			caddyhttp.SetVar(q.Context(), "uuid", nil)
		}
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				audit(q)
			}
		})
	}
}
