package integration

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// scrape returns the series that the admin API has of the module, or of any other part of Caddy, by name and labels.
func (c *caddyProcess) scrape(prefix string) map[string]string {
	c.t.Helper()
	series := make(map[string]string)
	for line := range strings.Lines(c.ask(http.MethodGet, "/metrics", "").Body) {
		if i := strings.LastIndex(line, " "); strings.HasPrefix(line, prefix) && i > 0 {
			series[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return series
}

// checkSeries checks what a scrape says.
func (c *caddyProcess) checkSeries(want map[string]string) {
	c.t.Helper()
	got := c.scrape("caddy_bws_")
	for series, value := range want {
		if got[series] != value {
			c.t.Errorf("%s is %q, want %s", series, got[series], value)
		}
	}
}

// Counters go on when the configuration is replaced, and gauges are about the services that are in use. Services that are the
// same share what they have at work, of which each call counts once.
func TestMetrics(t *testing.T) {
	c, service := startWatched(t, "default", "same")
	const (
		allowed    = `caddy_bws_decisions_total{decision="allow",reason=""}`
		noToken    = `caddy_bws_decisions_total{decision="deny",reason="no_token"}`
		calls      = `caddy_bws_service_calls_total{api="result",outcome="answered"}`
		hits       = `caddy_bws_cache_requests_total{result="hit"}`
		issued     = `caddy_bws_sessions_total{event="issued"}`
		closed     = `caddy_bws_breaker_state{service="default",state="closed"}`
		remembered = `caddy_bws_cache_entries{service="default"}`
		sameToo    = `caddy_bws_cache_entries{service="same"}`
		nextToo    = `caddy_bws_cache_entries{service="next"}`
		stored     = `caddy_bws_ledger_operations_total{operation="store",outcome="ok"}`
	)
	eventually(t, "the storage is read", func() bool {
		return c.scrape("caddy_bws_")[`caddy_bws_storage_sync_age_seconds{service="same"}`] != "+Inf"
	})
	untouched := c.scrape("caddy_bws_")
	c.checkSeries(map[string]string{allowed: "0", noToken: "0", calls: "0", hits: "0", issued: "0", closed: "1", remembered: "0", stored: "2"}) // a key of each purpose

	header := good(service)
	for range 3 {
		do(t, http.MethodGet, "http://"+c.Addr, header...)
	}
	do(t, http.MethodGet, "http://"+c.Addr)
	want := map[string]string{allowed: "3", noToken: "1", calls: "1", hits: "2", issued: "3", closed: "1", remembered: "1", sameToo: "1"}
	c.checkSeries(want)

	c.reload(strings.Replace(c.watched(service.URL, "default", "next"), "\tdebug\n", "\tmetrics\n", 1))
	c.checkServices("default", "next")
	do(t, http.MethodGet, "http://"+c.Addr, header...)
	want[allowed], want[hits], want[issued], want[sameToo], want[nextToo] = "4", "3", "4", "", "1"
	c.checkSeries(want)
	if len(c.scrape("caddy_http_requests_total")) == 0 {
		t.Error("Caddy's own metrics are gone")
	}

	// Nothing that happens adds a series.
	got := slices.Sorted(maps.Keys(c.scrape("caddy_bws_")))
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], `service="next"`, `service="same"`)
	}
	slices.Sort(got)
	if before := slices.Sorted(maps.Keys(untouched)); !slices.Equal(got, before) {
		t.Errorf("there were %q\nthere are %q", before, got)
	}
}
