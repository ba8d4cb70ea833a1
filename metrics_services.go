package caddybws

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
)

// ledgerCalls counts what all ledgers of the process ask their storages for.
var ledgerCalls ledger.Counters

// ledgerCounters show ledgerCalls.
type ledgerCounters struct{}

var ledgerOperations = prometheus.NewDesc("caddy_bws_ledger_operations_total",
	"Calls of the storage, by operation and outcome.", []string{"operation", "outcome"}, nil)

// Describe sends what Collect will send the values of.
func (ledgerCounters) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- ledgerOperations
}

// Collect sends the values.
func (ledgerCounters) Collect(values chan<- prometheus.Metric) {
	calls := ledgerCalls.Calls()
	for _, operation := range []ledger.Operation{
		ledger.OperationStore, ledger.OperationLoad, ledger.OperationList, ledger.OperationDelete,
	} {
		send := func(n uint64, outcome string) {
			values <- prometheus.MustNewConstMetric(ledgerOperations, prometheus.CounterValue, float64(n), string(operation), outcome)
		}
		c := calls[operation]
		send(c.Total-c.Errors, "ok")
		send(c.Errors, "error")
	}
}

// serviceGauges show how the services of the configuration in use are doing when somebody asks.
type serviceGauges struct{}

func serviceGauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"service"}, labels...), nil)
}

var (
	cacheEntries    = serviceGauge("caddy_bws_cache_entries", "Tokens of which something is remembered.")
	inflight        = serviceGauge("caddy_bws_inflight", "Calls to BWS that are under way.")
	breakerState    = serviceGauge("caddy_bws_breaker_state", "1 for the state that the circuit breaker is in, else 0.", "state")
	refused         = serviceGauge("caddy_bws_credentials_refused", "1 if BWS refuses app_id and app_secret, else 0.")
	storageSyncAge  = serviceGauge("caddy_bws_storage_sync_age_seconds", "The time since the storage was read, +Inf if it never was.")
	sessionKeyAge   = serviceGauge("caddy_bws_key_age_seconds", "The age of the key that seals sessions, +Inf if there is none.")
	serviceGaugeSet = []*prometheus.Desc{cacheEntries, inflight, breakerState, refused, storageSyncAge, sessionKeyAge}
)

// Describe sends what Collect will send the values of.
func (serviceGauges) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range serviceGaugeSet {
		descriptions <- d
	}
}

// Collect sends the values.
func (serviceGauges) Collect(values chan<- prometheus.Metric) {
	for _, s := range running() {
		s.gauge(func(d *prometheus.Desc, value float64, labels ...string) {
			values <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append([]string{s.name}, labels...)...)
		})
	}
}

// gauge tells how a service is doing.
func (s *Service) gauge(tell func(d *prometheus.Desc, value float64, labels ...string)) {
	now, state := s.now(), s.verifier.State()
	tell(cacheEntries, float64(state.Remembered))
	tell(inflight, float64(state.Inflight))
	for _, name := range []string{"closed", "half-open", "open"} {
		tell(breakerState, zeroOrOne(state.Breaker == name), name)
	}
	tell(refused, zeroOrOne(state.Refused))
	sync, age := math.Inf(1), math.Inf(1)
	if d, read := s.ledger.StaleFor(now); read {
		sync = d.Seconds()
	}
	if key, err := s.ledger.Keys(ledger.Sessions).Current(); err == nil {
		age = max(time.Duration(0), now.Sub(key.UseFrom)).Seconds()
	}
	tell(storageSyncAge, sync)
	tell(sessionKeyAge, age)
}

func zeroOrOne(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Interface guards
var (
	_ prometheus.Collector = ledgerCounters{}
	_ prometheus.Collector = serviceGauges{}
)
