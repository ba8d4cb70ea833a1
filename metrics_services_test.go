package caddybws

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

// checkGauges checks what the gauges of a service say.
func checkGauges(t *testing.T, want map[string]float64) {
	t.Helper()
	got := metrics.scrape(t)
	for series, value := range want {
		if actual, exists := got["caddy_bws_"+series]; !exists || actual != value {
			t.Errorf("%s is %v, want %v", series, actual, value)
		}
	}
}

func TestServiceGauges(t *testing.T) {
	s := newStoredSite(t)
	use(t, map[string]*Service{"x": s.service})
	for range 2 {
		send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, Gate{})).checkAllowed(t)
	}
	s.pass(time.Minute)
	checkGauges(t, map[string]float64{
		`cache_entries{service="x"}`: 2, `inflight{service="x"}`: 0, `credentials_refused{service="x"}`: 0,
		`breaker_state{service="x",state="closed"}`: 1, `breaker_state{service="x",state="open"}`: 0,
		`breaker_state{service="x",state="half-open"}`: 0,
		`storage_sync_age_seconds{service="x"}`:        60, `key_age_seconds{service="x"}`: 60,
	})
	s.Script("/result", bwstest.Answer{Status: http.StatusUnauthorized})
	send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, Gate{}))
	checkGauges(t, map[string]float64{`credentials_refused{service="x"}`: 1})
	s.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	for range 5 {
		send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, Gate{}))
	}
	checkGauges(t, map[string]float64{
		`breaker_state{service="x",state="closed"}`: 0, `breaker_state{service="x",state="open"}`: 1,
	})
}

func TestGaugesOfCallsUnderWay(t *testing.T) {
	s := newSite(t)
	var during map[string]float64
	s.service = newService(t, wire(func(r *http.Request) (*http.Response, error) {
		during = metrics.scrape(t)
		return inProcess{s.Service}.RoundTrip(r)
	}), s.service.now)
	use(t, map[string]*Service{"x": s.service})
	send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, Gate{})).checkAllowed(t)
	if n := during[`caddy_bws_inflight{service="x"}`]; n != 1 {
		t.Errorf("%v calls are under way, want 1", n)
	}
}

// A storage that has never been read is infinitely stale, and so is the key that is not there.
func TestGaugesWithoutStorage(t *testing.T) {
	s := newSite(t)
	s.service.ledger = ledger.New(ledger.Config{Storage: new(ledgertest.Memory), ServiceID: s.service.identity, Now: s.service.now})
	use(t, map[string]*Service{"x": s.service})
	got := metrics.scrape(t)
	for _, series := range []string{`storage_sync_age_seconds{service="x"}`, `key_age_seconds{service="x"}`} {
		if value := got["caddy_bws_"+series]; fmt.Sprint(value) != "+Inf" {
			t.Errorf("%s is %v, want +Inf", series, value)
		}
	}
}

// What a configuration's app sets up is counted, and goes on with the next configuration.
func TestMetricsThroughTheApp(t *testing.T) {
	load := func() (*Service, *prometheus.Registry) {
		ctx, err := caddy.ProvisionContext(new(caddy.Config))
		if err != nil {
			t.Fatal(err)
		}
		app := &App{Services: map[string]*Service{"default": {
			AppID: "app", AppSecret: "metrics", Endpoint: "http://127.0.0.1:1",
			StorageRaw: json.RawMessage(`{"module":"file_system","root":"` + t.TempDir() + `"}`),
		}}}
		t.Cleanup(func() { _ = app.Cleanup() })
		if err := app.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		return app.Services["default"], ctx.GetMetricsRegistry()
	}
	service, registry := load()
	got := counted(t, func() {
		gate := provision(t, Gate{}, service)
		token := bwstest.New(bwstest.Config{AppID: "app"}).Token(bwstest.TokenSpec{BCID: alice})
		send(t, get("X-BWS-Token: "+token), gate).checkDenied(t, http.StatusServiceUnavailable, "service_unavailable")
		_ = service.ledger.Sync(t.Context())
	})
	if got[`service_calls_total{api="result",outcome="unavailable"}`] != 2 {
		t.Errorf("counted %v", got)
	}
	if got[`ledger_operations_total{operation="list",outcome="error"}`] == 0 { // it has no storage before the start
		t.Errorf("counted %v", got)
	}
	_, next := load()
	const series = `caddy_bws_service_calls_total{api="result",outcome="unavailable"}`
	for name, r := range map[string]*prometheus.Registry{"first": registry, "next": next} {
		if n := scrape(t, r)[series]; n < 2 {
			t.Errorf("the %s configuration counts %v calls, want 2 at least", name, n)
		}
	}
}
