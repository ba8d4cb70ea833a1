package caddybws

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// metrics are those of the process. Each configuration has a registry of its own, and registers them anew, so that counters go on.
var metrics = newMetrics()

// decisionBuckets are seconds: from a session, which takes microseconds, to a service that is slow.
var decisionBuckets = []float64{
	10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10,
}

// callBuckets are seconds, too. There are no calls in less than some milliseconds but to an emulator.
var callBuckets = []float64{1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10}

// outcomeNames are the outcomes of a try as metrics and traces name them.
var outcomeNames = map[evidence.Outcome]string{
	evidence.Answered:      "answered",
	evidence.Pending:       "pending",
	evidence.Rejected:      "rejected",
	evidence.Unavailable:   "unavailable",
	evidence.TimedOut:      "timed_out",
	evidence.Misconfigured: "misconfigured",
	evidence.Invalid:       "invalid",
	evidence.Crashed:       "crashed",
}

// metricSet is a set of collectors with all series that there will ever be, but for those of services: labels are closed lists.
// Each series is an atomic number of its own that needs no lookup by labels.
type metricSet struct {
	collectors []prometheus.Collector

	decisions                                        map[policy.Reason]prometheus.Counter // "" is an allow
	durations                                        map[evidence.Source]prometheus.Observer
	calls                                            map[verifier.API]map[evidence.Outcome]prometheus.Counter
	callDurations                                    map[verifier.API]prometheus.Observer
	cacheHits, cacheMisses                           prometheus.Counter
	rateLimited                                      prometheus.Counter
	sessionsIssued, sessionsRenewed, sessionsRefused prometheus.Counter
	loginsBegun, loginsAllowed, loginsDenied         prometheus.Counter
}

func newMetrics() *metricSet {
	m := &metricSet{collectors: []prometheus.Collector{ledgerCounters{}, serviceGauges{}}}
	m.addDecisions()
	m.addCalls()
	cache := m.counters("caddy_bws_cache_requests_total", "Tokens looked for in the memory, by whether their result was found.", "result")
	m.cacheHits, m.cacheMisses = cache.WithLabelValues("hit"), cache.WithLabelValues("miss")
	m.rateLimited = m.counters("caddy_bws_rate_limited_total", "Calls to BWS that clients were refused by client_rate.").WithLabelValues()
	sessions := m.counters("caddy_bws_sessions_total", "Sessions issued, renewed and refused.", "event")
	m.sessionsIssued, m.sessionsRenewed = sessions.WithLabelValues("issued"), sessions.WithLabelValues("renewed")
	m.sessionsRefused = sessions.WithLabelValues("refused")
	logins := m.counters("caddy_bws_logins_total", "Logins begun, and how they ended.", "event")
	m.loginsBegun, m.loginsAllowed = logins.WithLabelValues("begun"), logins.WithLabelValues("allowed")
	m.loginsDenied = logins.WithLabelValues("denied")
	return m
}

func (m *metricSet) addDecisions() {
	decisions := m.counters("caddy_bws_decisions_total", "Requests that gates have judged, by decision and reason.", "decision", "reason")
	m.decisions = map[policy.Reason]prometheus.Counter{"": decisions.WithLabelValues("allow", "")}
	for reason := range denials {
		m.decisions[reason] = decisions.WithLabelValues("deny", string(reason))
	}
	durations := m.histograms("caddy_bws_decision_duration_seconds",
		"The time that decisions took, by where the evidence came from.", decisionBuckets, "evidence")
	m.durations = map[evidence.Source]prometheus.Observer{"": durations.WithLabelValues("none")}
	for _, source := range []evidence.Source{evidence.FromService, evidence.FromCache, evidence.FromSession} {
		m.durations[source] = durations.WithLabelValues(string(source))
	}
}

func (m *metricSet) addCalls() {
	calls := m.counters("caddy_bws_service_calls_total", "Calls to BWS, each try for itself, by API and outcome.", "api", "outcome")
	durations := m.histograms("caddy_bws_service_call_duration_seconds", "The time that calls to BWS took.", callBuckets, "api")
	m.calls = make(map[verifier.API]map[evidence.Outcome]prometheus.Counter)
	m.callDurations = make(map[verifier.API]prometheus.Observer)
	for _, api := range []verifier.API{verifier.APIResult, verifier.APIToken} {
		m.callDurations[api] = durations.WithLabelValues(string(api))
		m.calls[api] = make(map[evidence.Outcome]prometheus.Counter)
		for outcome, name := range outcomeNames {
			m.calls[api][outcome] = calls.WithLabelValues(string(api), name)
		}
	}
}

func (m *metricSet) counters(name, help string, labels ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.collectors = append(m.collectors, vec)
	return vec
}

func (m *metricSet) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.collectors = append(m.collectors, vec)
	return vec
}

// register adds the metrics to the registry of a configuration, unless it has them.
func (m *metricSet) register(registry *prometheus.Registry) error {
	for _, collector := range m.collectors {
		err := registry.Register(collector)
		if _, has := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !has {
			return err
		}
	}
	return nil
}

// count counts a decision.
func (g *Gate) count(q *inquiry) {
	v := q.visit
	decisions, known := metrics.decisions[v.decision.Reason]
	if !known { // our own mistake, and told as such
		decisions = metrics.decisions[policy.InternalError]
	}
	decisions.Inc()
	metrics.durations[v.evidenceSource()].Observe(v.judgedAt.Sub(q.now).Seconds())
}

// countLogin counts the end of a login.
func countLogin(allowed bool) {
	if allowed {
		metrics.loginsAllowed.Inc()
		return
	}
	metrics.loginsDenied.Inc()
}
