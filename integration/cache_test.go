package integration

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// cacheSite has gates of services that remember, that remember for a short time, and that do not.
func cacheSite(t *testing.T) *gatedSite {
	t.Helper()
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	c := startCaddy(t, "\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t\ttrusted_proxies_strict\n\t}\n"+
		serviceOption("", service.URL, "cache_ttl 10m", "failure_ttl 1m", "client_rate 5 1h")+
		serviceOption("short", service.URL, "cache_ttl 1s")+
		serviceOption("off", service.URL, "cache_ttl 0", "failure_ttl 0"),
		`{addr} {
	header >X-Evidence {http.bws.evidence}
	bws /long*
	bws /bound* {
		bcid `+bob.String()+`
	}
	bws /short* short
	bws /off* off
	reverse_proxy `+app.Listener.Addr().String()+"\n}")
	return &gatedSite{c, t, service, app}
}

// asking sends requests to a path, and returns how often BWS was asked for them.
func (s *gatedSite) asking(t *testing.T, times int, path string, status int, headers ...string) int {
	t.Helper()
	calls := s.service.Calls("/result")
	for range times {
		if got := do(t, http.MethodGet, "http://"+s.Addr+path, headers...); got.StatusCode != status {
			t.Errorf("%s: got %d %s, want %d", path, got.StatusCode, got.Body, status)
		}
	}
	return s.service.Calls("/result") - calls
}

func TestCache(t *testing.T) {
	s := cacheSite(t)
	expect := func(t *testing.T, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("BWS was asked %d times, want %d", got, want)
		}
	}
	t.Run("a page load", func(t *testing.T) { expect(t, s.asking(t, 24, "/long", 200, good(s.service)...), 1) })
	t.Run("security case 43: results are remembered, not decisions", func(t *testing.T) {
		covers(t)
		token := good(s.service)
		expect(t, s.asking(t, 1, "/long", 200, token...)+s.asking(t, 1, "/bound", 403, token...)+s.asking(t, 1, "/long", 200, token...), 1)
	})
	t.Run("security case 44: two services share nothing", func(t *testing.T) {
		covers(t)
		token := good(s.service)
		expect(t, s.asking(t, 1, "/long", 200, token...)+s.asking(t, 1, "/short", 200, token...), 2)
	})
	t.Run("security case 47: off", func(t *testing.T) {
		covers(t)
		expect(t, s.asking(t, 3, "/off", 200, good(s.service)...), 3)
	})
	t.Run("the source of the evidence", func(t *testing.T) {
		token := good(s.service)
		for _, want := range []string{"service", "cache"} {
			if got := do(t, http.MethodGet, "http://"+s.Addr+"/short", token...); got.Header.Get("X-Evidence") != want {
				t.Errorf("got %q, want %q", got.Header.Get("X-Evidence"), want)
			}
		}
	})
	t.Run("security cases 45 and 46: the result changes", func(t *testing.T) {
		covers(t, 45, 46)
		token := s.service.Token(bwstest.TokenSpec{BCID: alice})
		header := "X-BWS-Token: " + token
		expect(t, s.asking(t, 2, "/short", 401, header), 2)
		s.service.Perform(token, success)
		expect(t, s.asking(t, 2, "/short", 200, header), 1)
		s.service.Perform(token, bwstest.Outcome{Error: bws.LiveDetectionFailed})
		start := time.Now()
		eventually(t, "the failure is noticed", func() bool {
			return do(t, http.MethodGet, "http://"+s.Addr+"/short", header).reason() == "live_detection_failed"
		})
		// The machine may be busy, but the default would be ten times as long.
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("that took %s", took)
		}
	})
	t.Run("failures are remembered", func(t *testing.T) {
		expect(t, s.asking(t, 5, "/long", 403, failing(bws.LiveDetectionFailed)(s.service)...), 1)
		expect(t, s.asking(t, 5, "/long", 401, "X-BWS-Token: "+invented()), 1)
	})
}

// Security cases 48 and 50: those who wait for the same share one call, and whoever leaves harms nobody.
func TestHerd(t *testing.T) {
	covers(t, 48, 50)
	s := cacheSite(t)
	for name, status := range map[string]int{"cold": 200, "pending": 204, "failing": 500} {
		t.Run(name, func(t *testing.T) {
			headers := good(s.service)
			calls := s.service.Calls("/result")
			s.service.Script("/result", bwstest.Answer{Status: status, Delay: time.Second, Body: map[int][]byte{200: []byte(verified)}[status]})
			leaver := &http.Client{Timeout: 200 * time.Millisecond}
			var requests sync.WaitGroup
			requests.Go(func() {
				if _, err := ask(t.Context(), leaver, http.MethodGet, "http://"+s.Addr+"/long", "", headers...); err == nil {
					t.Error("the first client has stayed")
				}
			})
			eventually(t, "BWS is asked", func() bool { return s.service.Calls("/result") > calls })
			for range 64 {
				requests.Go(func() {
					want := map[int]int{200: 200, 204: 401, 500: 503}[status]
					got, err := ask(t.Context(), client, http.MethodGet, "http://"+s.Addr+"/long", "", headers...)
					if err != nil || got.StatusCode != want {
						t.Errorf("got %+v, %v, want %d", got, err, want)
					}
				})
			}
			requests.Wait()
			if asked := s.service.Calls("/result") - calls; asked != 1 {
				t.Errorf("BWS was asked %d times, want once", asked)
			}
		})
	}
}

// Security cases 41 and 98: a flood costs BWS no more than client_rate, and harms nobody whose token is known.
func TestClientRate(t *testing.T) {
	covers(t, 41, 98)
	s := cacheSite(t)
	unknown := func() string { return "X-BWS-Token: " + invented() }
	from := func(addr string) string { return "X-Forwarded-For: " + addr }
	known := good(s.service)
	s.asking(t, 1, "/long", 200, append(known, from("203.0.113.1"))...)
	calls := s.service.Calls("/result")
	for i := range 20 {
		want := "rejected_token"
		if i >= 4 {
			want = "rate_limited"
		}
		if got := do(t, http.MethodGet, "http://"+s.Addr+"/long", unknown(), from("203.0.113.1")); got.reason() != want {
			t.Errorf("request %d: got %d %s, want %s", i, got.StatusCode, got.Body, want)
		}
	}
	if asked := s.service.Calls("/result") - calls; asked != 4 {
		t.Errorf("BWS was asked %d times, want 4", asked)
	}
	s.asking(t, 1, "/long", 200, append(known, from("203.0.113.1"))...)
	for name, test := range map[string]struct{ addr, reason string }{
		"another client":           {"203.0.113.2", "rejected_token"},
		"a client over IPv6":       {"2001:db8:0:1::1", "rejected_token"},
		"nobody's, so the proxy's": {"unknown", "rejected_token"},
		"a claim before theirs":    {"198.51.100.7, 203.0.113.1", "rate_limited"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := do(t, http.MethodGet, "http://"+s.Addr+"/long", unknown(), from(test.addr)); got.reason() != test.reason {
				t.Errorf("got %d %s, want %s", got.StatusCode, got.Body, test.reason)
			}
		})
	}
}
