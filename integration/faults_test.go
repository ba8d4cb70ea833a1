package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Whatever happens between Caddy and BWS, a request is answered in time and for the right reason, and once it is over, all goes on.
func TestFaultsOnTheWay(t *testing.T) {
	covers(t, 75, 76)
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	proxy := startToxiproxy(t, strings.TrimSuffix(strings.TrimPrefix(service.URL, "http://"), bwstest.Base))
	c := startCaddy(t, serviceOption("", "http://"+proxy.Addr+bwstest.Base, "timeout 500ms"), "{addr} {\n\tbws\n\treverse_proxy "+app.Listener.Addr().String()+"\n}")
	var presented []string
	ask := func() (*answer, time.Duration) {
		headers, start := good(service), time.Now()
		presented = append(presented, strings.TrimPrefix(headers[0], "X-BWS-Token: "))
		return do(t, http.MethodGet, "http://"+c.Addr, headers...), time.Since(start)
	}

	for _, test := range []struct {
		name   string
		begin  func()
		reason string // "" for a fault that does no harm
		calls  int    // the most that BWS may see
	}{
		{"some latency", func() { proxy.poison("latency", map[string]int{"latency": 50, "jitter": 40}) }, "", 1},
		{"too much latency", func() { proxy.poison("latency", map[string]int{"latency": 2000}) }, "service_timeout", 1},
		{"a narrow line", func() { proxy.poison("bandwidth", map[string]int{"rate": 2}) }, "", 1},
		{"no bandwidth", func() { proxy.poison("bandwidth", map[string]int{"rate": 0}) }, "service_timeout", 1},
		{"small pieces", func() { proxy.poison("slicer", map[string]int{"average_size": 64, "delay": 1000}) }, "", 1},
		{"small pieces, slowly", func() {
			proxy.poison("slicer", map[string]int{"average_size": 10, "delay": 200_000})
		}, "service_timeout", 1},
		{"a reset", func() { proxy.poison("reset_peer", map[string]int{"timeout": 0}) }, "service_unavailable", 2},
		{"the end in the header", func() { proxy.poison("limit_data", map[string]int{"bytes": 20}) }, "service_invalid", 2},
		{"the end in the body", func() { proxy.poison("limit_data", map[string]int{"bytes": 200}) }, "service_unavailable", 2},
		{"silence", func() { proxy.poison("timeout", map[string]int{"timeout": 0}) }, "service_timeout", 1},
		{"nobody there", proxy.cut, "service_unavailable", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			app.take()
			calls := service.Calls("/result")
			test.begin()
			got, took := ask()
			proxy.heal()
			if allowed := len(app.take()) > 0; got.reason() != test.reason || allowed != (test.reason == "") {
				t.Errorf("got %d %s, want %q", got.StatusCode, got.Body, test.reason)
			}
			// The machine may be busy; what hangs hangs for much longer.
			if took > 3*time.Second {
				t.Errorf("the answer took %s", took)
			}
			if asked := service.Calls("/result") - calls; asked > test.calls {
				t.Errorf("BWS saw %d calls, want at most %d", asked, test.calls)
			}
			if got, _ := ask(); got.StatusCode != http.StatusOK {
				t.Errorf("after it is over: got %d %s", got.StatusCode, got.Body)
			}
		})
	}
	for _, text := range append(presented, "access_token") {
		if log := c.logs.String(); strings.Contains(log, text) {
			t.Errorf("the log has a token, or a URL with one:\n%s", log)
		}
	}

	// Security case 94.
	t.Run("an outage that lasts", func(t *testing.T) {
		covers(t, 94)
		proxy.cut()
		eventually(t, "the breaker opens", func() bool {
			got, _ := ask()
			return got.reason() == "service_unavailable" && strings.Contains(c.logs.String(), `"breaker":"open"`)
		})
		calls := strings.Count(c.logs.String(), "service fault")
		for range 20 {
			if got, _ := ask(); got.reason() != "service_unavailable" {
				t.Errorf("got %d %s", got.StatusCode, got.Body)
			}
		}
		if more := strings.Count(c.logs.String(), "service fault") - calls; more > 1 {
			t.Errorf("%d of 20 requests were tried at a service that is down", more)
		}
		proxy.heal()
		app.take()
		start := time.Now()
		eventually(t, "requests pass again", func() bool { got, _ := ask(); return got.StatusCode == http.StatusOK })
		if took := time.Since(start); took > 12*time.Second {
			t.Errorf("that took %s", took)
		}
	})
}
