package caddybws

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

var allow = policy.Decision{Allow: true}

func TestPlaceholders(t *testing.T) {
	identified := &evidence.Evidence{
		Source: evidence.FromService, Action: bws.Identification, BCID: alice, Matched: true, Score: 0.75,
		NotBefore: start.Add(-90*time.Second - 1),
	}
	nobody := map[string]string{
		"http.bws.decision": "", "http.bws.reason": "", "http.bws.evidence": "", "http.bws.action": "", "http.bws.bcid": "",
		"http.bws.storage": "", "http.bws.partition": "", "http.bws.class": "", "http.bws.score": "", "http.bws.age": "",
		"http.auth.user.id": "",
	}
	for name, test := range map[string]struct {
		conclude func(*visit)
		want     map[string]string
	}{
		"before a decision": {func(*visit) {}, nil},
		"denied without evidence": {
			func(v *visit) { v.conclude(policy.Deny(policy.NoToken), nil, start) },
			map[string]string{"http.bws.decision": "deny", "http.bws.reason": "no_token"},
		},
		"denied with evidence": {
			func(v *visit) { v.conclude(policy.Deny(policy.TooOld), identified, start) },
			map[string]string{"http.bws.decision": "deny", "http.bws.reason": "too_old", "http.bws.evidence": "service"},
		},
		"allowed by identification": {
			func(v *visit) { v.conclude(allow, identified, start) },
			map[string]string{
				"http.bws.decision": "allow", "http.bws.evidence": "service", "http.bws.action": "identification",
				"http.bws.bcid": "bioid/9876/12345", "http.bws.storage": "bioid", "http.bws.partition": "9876", "http.bws.class": "12345",
				"http.bws.score": "0.75", "http.bws.age": "90", "http.auth.user.id": "bioid/9876/12345",
			},
		},
		"allowed by enrollment, which sets no user": {
			func(v *visit) {
				v.conclude(allow, &evidence.Evidence{Action: bws.Enrollment, BCID: bob, NotBefore: start}, start)
			},
			map[string]string{
				"http.bws.decision": "allow", "http.bws.action": "enrollment", "http.bws.bcid": "bioid/9876/12346",
				"http.bws.storage": "bioid", "http.bws.partition": "9876", "http.bws.class": "12346", "http.bws.age": "0",
			},
		},
		"allowed by liveness detection of nobody": {
			func(v *visit) {
				v.conclude(allow, &evidence.Evidence{Action: bws.LiveDetection, NotBefore: start.Add(time.Minute)}, start)
			},
			map[string]string{"http.bws.decision": "allow", "http.bws.action": "livenessdetection", "http.bws.age": "0"},
		},
		"a user stays while later gates allow": {
			func(v *visit) {
				v.conclude(allow, identified, start)
				v.conclude(allow, &evidence.Evidence{Action: bws.LiveDetection, NotBefore: start}, start)
			},
			map[string]string{
				"http.bws.decision": "allow", "http.bws.action": "livenessdetection", "http.bws.age": "0",
				"http.auth.user.id": "bioid/9876/12345",
			},
		},
		"a later denial takes everything back": {
			func(v *visit) {
				v.conclude(allow, identified, start)
				v.conclude(policy.Deny(policy.NotLive), identified, start)
			},
			map[string]string{"http.bws.decision": "deny", "http.bws.reason": "not_live", "http.bws.evidence": "service"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, repl := new(visit), caddy.NewEmptyReplacer()
			repl.Map(v.placeholder)
			test.conclude(v)
			want := maps.Clone(nobody)
			maps.Copy(want, test.want)
			(&outcome{repl: repl}).checkPlaceholders(t, want)
		})
	}
}

func TestPlaceholdersOfOthers(t *testing.T) {
	v := &visit{user: alice}
	v.conclude(allow, &evidence.Evidence{Action: bws.Verification, BCID: alice}, start)
	for _, name := range []string{"http.bws", "http.bws.", "http.bws.token", "http.bws.BCID", "http.auth.user.name"} {
		if value, known := v.placeholder(name); known {
			t.Errorf("{%s} is %q", name, value)
		}
	}
	repl := caddy.NewEmptyReplacer()
	repl.Map(v.placeholder)
	repl.Set("http.auth.user.id", "a first factor's user")
	(&outcome{repl: repl}).checkPlaceholders(t, map[string]string{"http.auth.user.id": "a first factor's user"})
}

func TestVisitInLogs(t *testing.T) {
	v := &visit{taken: []takenHeader{{"X-Bws-Token", []string{"secret"}}}}
	for _, test := range []struct {
		decision policy.Decision
		evidence *evidence.Evidence
		word     string
		fields   map[string]any
	}{
		{policy.Decision{}, nil, "", map[string]any{"bws_decision": "", "bws_reason": "", "bws_evidence": ""}},
		{
			policy.Deny(policy.Pending), &evidence.Evidence{Source: evidence.FromService}, "deny",
			map[string]any{"bws_decision": "deny", "bws_reason": "pending", "bws_evidence": "service"},
		},
		{
			allow, &evidence.Evidence{Source: evidence.FromService, Action: bws.Verification, BCID: alice}, "allow",
			map[string]any{"bws_decision": "allow", "bws_reason": "", "bws_evidence": "service"},
		},
	} {
		v.conclude(test.decision, test.evidence, start)
		if v.String() != test.word {
			t.Errorf("%+v is shown as %q, want %q", test.decision, v, test.word)
		}
		enc := zapcore.NewMapObjectEncoder()
		if err := v.MarshalLogObject(enc); err != nil || !maps.Equal(enc.Fields, test.fields) {
			t.Errorf("%+v is logged as %v, %v; want %v", test.decision, enc.Fields, err, test.fields)
		}
	}
}

func TestVisitBelongsToOneRequest(t *testing.T) {
	var visits []*visit
	look := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		visits = append(visits, visitOf(r, r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)))
		return next.ServeHTTP(w, r)
	})
	send(t, get(), look, look)
	o := send(t, get(), look)
	if visits[0] != visits[1] || visits[1] == visits[2] {
		t.Errorf("got %p, want one visit for each request", visits)
	}
	visits[2].conclude(policy.Deny(policy.NoToken), nil, start)
	o.checkPlaceholders(t, map[string]string{"http.vars.bws": "deny"})
}

func TestKeepTheOriginal(t *testing.T) {
	v, r := new(visit), &http.Request{Header: http.Header{"Cookie": {"a=1", "b=2"}, "X-Other": {"x"}}}
	if got := v.header(r, "Cookie"); !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("before anything is taken: %q", got)
	}
	v.keep(r, "Cookie")
	r.Header["Cookie"] = []string{"changed"}
	v.keep(r, "Cookie")
	r.Header["Cookie"] = nil
	if got := v.header(r, "Cookie"); !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("after two gates took something: %q", got)
	}
	if got := v.header(r, "X-Other"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("another header: %q", got)
	}
}

func TestRemember(t *testing.T) {
	v, mine, other := new(visit), new(Service), new(Service)
	first, second := new(evidence.Evidence), new(evidence.Evidence)
	v.remember(foundEvidence{service: mine, evidence: first, token: "t"})
	v.remember(foundEvidence{service: other, evidence: first, token: "t"})
	v.remember(foundEvidence{service: mine, evidence: second, token: "u"})
	if found := v.recall(mine); len(v.found) != 2 || found.evidence != second || found.token != "u" {
		t.Errorf("found is %+v, want the newest of each service", v.found)
	}
	if v.recall(new(Service)) != nil {
		t.Error("a service that nobody has asked has evidence")
	}
}
