package caddybws

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// scrape returns the series of a set by name and labels, as Prometheus gets them.
func (m *metricSet) scrape(t testing.TB) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for range 2 { // Caddy may ask twice
		if err := m.register(registry); err != nil {
			t.Fatal(err)
		}
	}
	return scrape(t, registry)
}

// scrape returns what a registry has.
func scrape(t testing.TB, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	series := make(map[string]float64)
	for line := range strings.Lines(w.Body.String()) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "#" {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		series[name] = value
	}
	return series
}

// use makes services those of the configuration in use.
func use(t testing.TB, services map[string]*Service) {
	t.Helper()
	app := &App{Services: services}
	apps.add(app)
	t.Cleanup(func() { apps.remove(app) })
}

// declaredSeries are all that there are for services of these names, but for the buckets of histograms.
func declaredSeries(services ...string) (series []string) {
	add := func(format string, values ...any) {
		series = append(series, fmt.Sprintf("caddy_bws_"+format, values...))
	}
	add(`decisions_total{decision="allow",reason=""}`)
	for reason := range statuses {
		add(`decisions_total{decision="deny",reason="%s"}`, reason)
	}
	for _, end := range []string{"sum", "count"} {
		for _, source := range []string{"service", "cache", "session", "none"} {
			add(`decision_duration_seconds_%s{evidence="%s"}`, end, source)
		}
		for _, api := range []string{"result", "token"} {
			add(`service_call_duration_seconds_%s{api="%s"}`, end, api)
		}
	}
	for _, outcome := range []string{
		"answered", "pending", "rejected", "unavailable", "timed_out", "misconfigured", "invalid", "crashed",
	} {
		add(`service_calls_total{api="result",outcome="%s"}`, outcome)
		add(`service_calls_total{api="token",outcome="%s"}`, outcome)
	}
	for _, rest := range []string{
		`cache_requests_total{result="hit"}`, `cache_requests_total{result="miss"}`, `rate_limited_total`,
		`sessions_total{event="issued"}`, `sessions_total{event="renewed"}`, `sessions_total{event="refused"}`,
		`logins_total{event="begun"}`, `logins_total{event="allowed"}`, `logins_total{event="denied"}`,
	} {
		add("%s", rest)
	}
	for _, operation := range []string{"store", "load", "list", "delete"} {
		add(`ledger_operations_total{operation="%s",outcome="ok"}`, operation)
		add(`ledger_operations_total{operation="%s",outcome="error"}`, operation)
	}
	for _, service := range services {
		for _, gauge := range []string{"cache_entries", "inflight", "credentials_refused", "storage_sync_age_seconds", "key_age_seconds"} {
			add(`%s{service="%s"}`, gauge, service)
		}
		for _, state := range []string{"closed", "half-open", "open"} {
			add(`breaker_state{service="%s",state="%s"}`, service, state)
		}
	}
	slices.Sort(series)
	return series
}

// Dashboards and alerts are built on these names. All are there before anything has happened, and no others ever come.
func TestMetricsAreClosed(t *testing.T) {
	s, fresh := newSite(t), newMetrics()
	use(t, map[string]*Service{"a": s.service, "b": s.service})
	for name, m := range map[string]*metricSet{"at the start": fresh, "after all other tests": metrics} {
		got := slices.Sorted(maps.Keys(m.scrape(t)))
		got = slices.DeleteFunc(got, func(series string) bool { return strings.Contains(series, "_bucket{") })
		if want := declaredSeries("a", "b"); !slices.Equal(got, want) {
			t.Errorf("%s: got %q\nwant %q", name, got, want)
		}
	}
}

// counted returns by how much counters and the counts of histograms have grown meanwhile.
func counted(t testing.TB, meanwhile func()) map[string]float64 {
	t.Helper()
	before := metrics.scrape(t)
	meanwhile()
	grown := make(map[string]float64)
	for series, value := range metrics.scrape(t) {
		isCount := strings.Contains(series, "_total") || strings.Contains(series, "_count{")
		if n := value - before[series]; isCount && n != 0 {
			grown[strings.TrimPrefix(series, "caddy_bws_")] = n
		}
	}
	return grown
}

// Each row is what happens, and all that is counted of it.
func TestMetricsCount(t *testing.T) {
	denied := func(reason string) string { return `decisions_total{decision="deny",reason="` + reason + `"}` }
	took := func(source string) string { return `decision_duration_seconds_count{evidence="` + source + `"}` }
	asked := func(api, outcome string) string {
		return `service_calls_total{api="` + api + `",outcome="` + outcome + `"}`
	}
	const (
		allowed  = `decisions_total{decision="allow",reason=""}`
		hit      = `cache_requests_total{result="hit"}`
		miss     = `cache_requests_total{result="miss"}`
		issued   = `sessions_total{event="issued"}`
		renewed  = `sessions_total{event="renewed"}`
		refused  = `sessions_total{event="refused"}`
		called   = `service_call_duration_seconds_count{api="result"}`
		ordered  = `service_call_duration_seconds_count{api="token"}`
		answered = `service_calls_total{api="result",outcome="answered"}`
		limited  = `rate_limited_total`
	)
	// sending sends a token, several times.
	sending := func(g Gate, times int, token func(*site) string) func(*testing.T, *site) func() {
		return func(t *testing.T, s *site) func() {
			gate, header := s.gate(t, g), "X-BWS-Token: "+token(s)
			return func() {
				for range times {
					send(t, get(header), gate)
				}
			}
		}
	}
	// returning sends the session of an earlier request, some time later.
	returning := func(g Gate, after time.Duration, tail string) func(*testing.T, *site) func() {
		return func(t *testing.T, s *site) func() {
			gate := s.gate(t, g)
			session := s.begin(t, gate)
			s.pass(after)
			s.sync(t)
			return func() { send(t, get(session+tail), gate) }
		}
	}
	answer := func(status, times int) func(*site) string {
		return tokenAnsweredTimes(bwstest.Answer{Status: status}, times)
	}
	for name, test := range map[string]struct {
		prepare func(*testing.T, *site) func()
		want    map[string]float64
	}{
		"allowed": {sending(Gate{}, 1, (*site).goodToken), map[string]float64{allowed: 1, took("service"): 1, answered: 1, called: 1, miss: 1}},
		"allowed thrice": {sending(Gate{}, 3, (*site).goodToken), map[string]float64{
			allowed: 3, took("service"): 1, took("cache"): 2, answered: 1, called: 1, miss: 1, hit: 2,
		}},
		"denied by policy": {sending(Gate{Require: "challenge"}, 1, (*site).goodToken), map[string]float64{
			denied("no_challenge"): 1, took("service"): 1, answered: 1, called: 1, miss: 1,
		}},
		"reported": {sending(reporting(Gate{Require: "challenge"}), 1, (*site).goodToken), map[string]float64{
			denied("no_challenge"): 1, took("service"): 1, answered: 1, called: 1, miss: 1,
		}},
		"no token":  {sending(Gate{}, 2, tokenText("")), map[string]float64{denied("no_token"): 2, took("none"): 2}},
		"malformed": {sending(Gate{}, 1, tokenText("x")), map[string]float64{denied("malformed_token"): 1, took("none"): 1}},
		"pending": {sending(Gate{}, 1, func(s *site) string { return s.Token(bwstest.TokenSpec{BCID: alice}) }), map[string]float64{
			denied("pending"): 1, took("service"): 1, asked("result", "pending"): 1, called: 1, miss: 1,
		}},
		"rejected": {sending(Gate{}, 1, tokenForeign(bwstest.AppID)), map[string]float64{
			denied("rejected_token"): 1, took("service"): 1, asked("result", "rejected"): 1, called: 1, miss: 1,
		}},
		"each try": {sending(Gate{}, 1, answer(http.StatusServiceUnavailable, 2)), map[string]float64{
			denied("service_unavailable"): 1, took("service"): 1, asked("result", "unavailable"): 2, called: 2, miss: 1,
		}},
		"a try that helps": {sending(Gate{}, 1, answer(http.StatusServiceUnavailable, 1)), map[string]float64{
			allowed: 1, took("service"): 1, asked("result", "unavailable"): 1, answered: 1, called: 2, miss: 1,
		}},
		"misconfigured": {sending(Gate{}, 1, answer(http.StatusUnauthorized, 1)), map[string]float64{
			denied("service_misconfigured"): 1, took("service"): 1, asked("result", "misconfigured"): 1, called: 1, miss: 1,
		}},
		"invalid": {sending(Gate{}, 1, answer(http.StatusFound, 1)), map[string]float64{
			denied("service_invalid"): 1, took("service"): 1, asked("result", "invalid"): 1, called: 1, miss: 1,
		}},
		"once": {sending(Gate{Once: &Once{}}, 2, (*site).goodToken), map[string]float64{
			allowed: 1, denied("spent"): 1, took("service"): 2, answered: 2, called: 2,
		}},
		"rate limited": {func(t *testing.T, s *site) func() {
			service := newService(t, inProcess{s.Service}, s.service.now, func(c *verifier.Config) { c.ClientCalls = 1 })
			gate, first, second := provision(t, Gate{}, service), "X-BWS-Token: "+s.goodToken(), "X-BWS-Token: "+s.goodToken()
			return func() { send(t, get(first), gate); send(t, get(second), gate) }
		}, map[string]float64{
			allowed: 1, denied("rate_limited"): 1, limited: 1, took("service"): 2, answered: 1, called: 1, miss: 2,
		}},
		"two gates": {func(t *testing.T, s *site) func() {
			first, second, header := s.gate(t, Gate{}), s.gate(t, Gate{}), "X-BWS-Token: "+s.goodToken()
			return func() { send(t, get(header), first, second) }
		}, map[string]float64{allowed: 2, took("service"): 2, answered: 1, called: 1, miss: 1}},

		"session issued": {sending(keeping, 1, (*site).goodToken), map[string]float64{
			allowed: 1, took("service"): 1, answered: 1, called: 1, miss: 1, issued: 1,
		}},
		"session issued once": {func(t *testing.T, s *site) func() {
			first, second, header := s.gate(t, keeping), s.gate(t, keeping), "X-BWS-Token: "+s.goodToken()
			return func() { send(t, get(header), first, second) }
		}, map[string]float64{allowed: 2, took("service"): 2, answered: 1, called: 1, miss: 1, issued: 1}},
		"session":         {returning(keeping, 0, ""), map[string]float64{allowed: 1, took("session"): 1}},
		"session renewed": {returning(idling, 5*time.Minute, ""), map[string]float64{allowed: 1, took("session"): 1, renewed: 1}},
		"session ended":   {returning(keeping, time.Hour, ""), map[string]float64{denied("session_expired"): 1, took("none"): 1, refused: 1}},
		"session forged":  {returning(keeping, 0, "x"), map[string]float64{denied("no_token"): 1, took("none"): 1, refused: 1}},
		"two sessions":    {returning(keeping, 0, "; bws_session=x"), map[string]float64{denied("ambiguous_token"): 1, took("none"): 1, refused: 1}},

		"login begun": {func(t *testing.T, s *site) func() {
			b := s.browser(t, s.gate(t, loginGate()))
			return func() { b.visit("/page") }
		}, map[string]float64{
			`logins_total{event="begun"}`: 1, denied("no_token"): 1, took("none"): 1, asked("token", "answered"): 1, ordered: 1,
		}},
		"login allowed": {func(t *testing.T, s *site) func() {
			b := s.browser(t, s.gate(t, loginGate(withSession)))
			ui := b.visit("/page").sentTo(t)
			s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
			return func() { b.visit(backFrom(ui, "")) }
		}, map[string]float64{
			`logins_total{event="allowed"}`: 1, allowed: 1, took("service"): 1, answered: 1, called: 1, miss: 1, issued: 1,
		}},
		"login denied": {func(t *testing.T, s *site) func() {
			b := s.browser(t, s.gate(t, loginGate()))
			ui := b.visit("/page").sentTo(t)
			s.Perform(ui.Get("access_token"), bwstest.Outcome{})
			return func() { b.visit(backFrom(ui, "")) }
		}, map[string]float64{
			`logins_total{event="denied"}`: 1, denied("not_recognized"): 1, took("service"): 1, answered: 1, called: 1, miss: 1,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			happen := test.prepare(t, newSite(t))
			if got := counted(t, happen); !maps.Equal(got, test.want) {
				t.Errorf("counted %v, want %v", got, test.want)
			}
		})
	}
}

// tokenAnsweredTimes is a good token about which BWS gives a bad answer several times.
func tokenAnsweredTimes(answer bwstest.Answer, times int) func(*site) string {
	return func(s *site) string {
		s.Script("/result", slices.Repeat([]bwstest.Answer{answer}, times)...)
		return s.goodToken()
	}
}

// A reason that nobody has described does not add a series.
func TestUnknownReasonIsCountedAsOurMistake(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	q := &inquiry{visit: new(visit)}
	q.visit.decision.Reason = "odd"
	got := counted(t, func() { g.count(q) })
	if got[`decisions_total{decision="deny",reason="internal_error"}`] != 1 {
		t.Errorf("counted %v", got)
	}
}

// A decision takes as long as the clock says.
func TestDecisionsTakeTime(t *testing.T) {
	s := newSite(t)
	s.service = newService(t, wire(func(r *http.Request) (*http.Response, error) {
		s.pass(20 * time.Millisecond)
		return instant(`{"Action":"verification","BCID":"bioid/9876/12345","Success":true}`).RoundTrip(r)
	}), s.service.now)
	before := metrics.scrape(t)
	send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, Gate{})).checkAllowed(t)
	after := metrics.scrape(t)
	for series, want := range map[string]float64{
		`decision_duration_seconds_sum{evidence="service"}`:               0.02,
		`decision_duration_seconds_bucket{evidence="service",le="0.01"}`:  0,
		`decision_duration_seconds_bucket{evidence="service",le="0.025"}`: 1,
		`service_call_duration_seconds_sum{api="result"}`:                 0.02,
		`service_call_duration_seconds_bucket{api="result",le="0.01"}`:    0,
		`service_call_duration_seconds_bucket{api="result",le="0.025"}`:   1,
	} {
		series = "caddy_bws_" + series
		if _, exists := after[series]; !exists {
			t.Errorf("there is no %s", series)
		}
		if got := after[series] - before[series]; got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s grew by %v, want %v", series, got, want)
		}
	}
}
