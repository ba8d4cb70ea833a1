package integration

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

const (
	reloads = 100
	// What may come and go besides: connections, timers, and what the collector has not got round to.
	sparedGoroutines = 25
	sparedHeap       = 8 << 20
)

// Security case 105: reloading a hundred times under load loses no request and nothing that is remembered, and leaves nothing
// behind.
func TestReloads(t *testing.T) {
	covers(t, 105)
	service := bwstest.NewServer(t, bwstest.Config{})
	c := &caddyProcess{t: t, Addr: freeAddr(t), Admin: freeAddr(t)}
	config := func(generation int, gate string) string { return c.generation(service.URL, generation, gate) }
	c.run(config(0, "bws"))
	c.reload(config(1, ""))
	ungated := c.goroutines()
	c.reload(config(2, "bws"))

	headers := good(service)
	stop, served, unanswered := underLoad(t, c, headers)
	c.reloadOften(config, "bws")
	stop()
	if served.Load() < reloads || unanswered.Load() > reloads/2 {
		t.Errorf("%d requests were served, and %d had no answer", served.Load(), unanswered.Load())
	}
	if calls := service.Calls("/result"); calls != 1 {
		t.Errorf("BWS was asked %d times, want once", calls)
	}

	c.reload(config(0, ""))
	eventually(t, "what belongs to the gate is freed", func() bool { return c.goroutines() <= ungated+sparedGoroutines/5 })
	// The service is still configured, but its runtime was given up and remembers nothing.
	c.reload(strings.Replace(config(0, "bws"), "cache_ttl 10m", "cache_ttl 9m", 1))
	if got := do(t, http.MethodGet, "http://"+c.Addr, headers...); got.StatusCode != http.StatusOK || service.Calls("/result") != 2 {
		t.Errorf("got %d %s after %d calls, want another one", got.StatusCode, got.Body, service.Calls("/result"))
	}
}

// Sessions too, whose keys and revocations lie in the storage that each configuration brings along.
func TestReloadsKeepSessions(t *testing.T) {
	covers(t, 105)
	const gate = "bws {\n\t\tsession 30m {\n\t\t\tidle 10m\n\t\t}\n\t}"
	service := bwstest.NewServer(t, bwstest.Config{})
	c := &caddyProcess{t: t, Addr: freeAddr(t), Admin: freeAddr(t)}
	config := func(generation int, gate string) string { return c.generation(service.URL, generation, gate) }
	c.run(config(0, gate))
	session, revoked := begin(t, "http://"+c.Addr, good(service)), begin(t, "http://"+c.Addr, good(service))

	stop, served, unanswered := underLoad(t, c, []string{session})
	c.reloadOften(config, gate)
	stop()
	if served.Load() < reloads || unanswered.Load() > reloads/2 {
		t.Errorf("%d requests were served, and %d had no answer", served.Load(), unanswered.Load())
	}
	if calls := service.Calls("/result"); calls != 2 {
		t.Errorf("BWS was asked %d times, want once for each session", calls)
	}

	do(t, http.MethodPost, "http://"+c.Addr+"/logout", revoked)
	c.reload(config(0, gate))
	if got := do(t, http.MethodGet, "http://"+c.Addr, revoked); got.reason() != "revoked" {
		t.Errorf("a revoked session got %d %s after a reload", got.StatusCode, got.Body)
	}
}

// generation is one of the configurations that replace each other.
func (c *caddyProcess) generation(endpoint string, generation int, gate string) string {
	return fmt.Sprintf(`{
	admin %s
	auto_https off
	bws {
		endpoint %s
		app_id %s
		app_secret %s
		cache_ttl 10m
	}
}
http://%s {
	header X-Generation %d
	bws_logout /logout
	%s
	respond "app"
}
`, c.Admin, endpoint, bwstest.AppID, bwstest.AppSecret, c.Addr, generation, gate)
}

// reloadOften reloads until nothing must grow any more, and then a hundred times, without growth.
func (c *caddyProcess) reloadOften(config func(int, string) string, gate string) {
	c.t.Helper()
	for generation := range 10 {
		c.reload(config(generation, gate))
	}
	goroutines, heap := c.goroutines(), c.heap()
	for generation := range reloads {
		c.reload(config(generation, gate))
	}
	if got := c.goroutines(); got > goroutines+sparedGoroutines {
		c.t.Errorf("%d goroutines, %d before", got, goroutines)
	}
	if got := c.heap(); got > heap+sparedHeap {
		c.t.Errorf("%d bytes of heap, %d before", got, heap)
	}
	c.t.Logf("goroutines %d, then %d; heap %d KB, then %d KB", goroutines, c.goroutines(), heap>>10, c.heap()>>10)
}

// underLoad sends requests until it is told to stop. None may be denied or fail. A connection that waits to be accepted when
// Caddy reloads is reset on Linux, gate or no gate: such a request, which nobody has read, is sent again.
func underLoad(t *testing.T, c *caddyProcess, headers []string) (stop func(), served, unanswered *atomic.Int64) {
	t.Helper()
	served, unanswered = new(atomic.Int64), new(atomic.Int64)
	done := make(chan struct{})
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				r, err := http.NewRequest(http.MethodGet, "http://"+c.Addr, nil)
				if err != nil {
					t.Error(err)
					return
				}
				name, value, _ := strings.Cut(headers[0], ": ")
				r.Header.Set(name, value)
				response, err := client.Do(r)
				if err != nil {
					unanswered.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("a request got %s", response.Status)
				}
				served.Add(1)
			}
		})
	}
	stop = sync.OnceFunc(func() { close(done); workers.Wait() })
	t.Cleanup(stop)
	return stop, served, unanswered
}
