package integration

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// limitedSite is a site whose BWS answers only while nobody holds it.
type limitedSite struct {
	*caddyProcess
	service *bwstest.Service
	held    sync.RWMutex
}

// startLimited runs a site with one gate. Everything comes from the loopback interface, where clients differ by their address; only
// 127.0.0.2 is a proxy whose word counts.
func startLimited(t *testing.T, options ...string) *limitedSite {
	t.Helper()
	s := &limitedSite{service: bwstest.New(bwstest.Config{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.service.ServeHTTP(w, r)
		// What it has said is sent when this returns.
		s.held.RLock()
		defer s.held.RUnlock()
	}))
	t.Cleanup(server.Close)
	s.caddyProcess = startCaddy(t, "\tservers {\n\t\ttrusted_proxies static 127.0.0.2/32\n\t\ttrusted_proxies_strict\n\t}\n"+
		serviceOption("", server.URL+bwstest.Base, options...),
		"{addr} {\n\theader >X-Evidence {http.bws.evidence}\n\tbws\n\trespond \"app\"\n}")
	return s
}

// limitedClient asks from an address of its own.
type limitedClient struct {
	http.Client
	t   *testing.T
	url string
}

func (s *limitedSite) from(t *testing.T, addr string) *limitedClient {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &limitedClient{http.Client{Transport: transport, Timeout: 30 * time.Second}, t, "http://" + s.Addr}
}

// ask presents a token. It may be called from any goroutine.
func (c *limitedClient) ask(token string, headers ...string) *answer {
	got, err := ask(c.t.Context(), &c.Client, http.MethodGet, c.url, "", append([]string{"X-BWS-Token: " + token}, headers...)...)
	if err != nil {
		c.t.Error(err)
		return &answer{Response: new(http.Response)}
	}
	return got
}

// expect wants a reason, or that the request passes if it is "".
func (c *limitedClient) expect(reason, token string, headers ...string) {
	c.t.Helper()
	got := c.ask(token, headers...)
	if got.reason() != reason || (got.StatusCode == http.StatusOK) != (reason == "") {
		c.t.Errorf("%q: got %d %s, want %q", headers, got.StatusCode, got.Body, reason)
	}
	if busy := reason == "rate_limited" || reason == "service_busy"; busy && got.Header.Get("Retry-After") == "" {
		c.t.Errorf("%s says not when to come again", reason)
	}
}

func (s *limitedSite) token(outcomes ...bwstest.Outcome) string {
	return performed(s.service, bwstest.TokenSpec{BCID: alice}, outcomes...)
}

func (s *limitedSite) goodToken() string { return goodOf(s.service, alice) }

func (s *limitedSite) checkCalls(t *testing.T, since, want int) {
	t.Helper()
	if calls := s.service.Calls("/result") - since; calls != want {
		t.Errorf("BWS was asked %d times, want %d", calls, want)
	}
}

// A client is who Caddy takes it for, whatever it says of itself.
func TestWhoIsLimited(t *testing.T) {
	const allowance = 3
	s := startLimited(t, "cache_ttl 200ms", "failure_ttl 0", "client_rate 3 24h")
	spend := func(c *limitedClient, headers ...string) {
		for range allowance {
			c.expect("rejected_token", invented(), headers...)
		}
		c.expect("rate_limited", invented(), headers...)
	}

	t.Run("security case 41: people behind the address of a flood", func(t *testing.T) {
		covers(t)
		c, known := s.from(t, "127.0.0.11"), s.goodToken()
		calls := s.service.Calls("/result")
		c.expect("", known)
		for range allowance - 1 {
			c.expect("rejected_token", invented())
		}
		for range 20 {
			c.expect("rate_limited", invented())
		}
		s.checkCalls(t, calls, allowance)
		// What is remembered of the token ends, but not that BWS has accepted it.
		eventually(t, "BWS is asked again about the known token", func() bool {
			c.expect("", known)
			return s.service.Calls("/result") > calls+allowance
		})
		c.expect("rate_limited", s.goodToken())
	})
	t.Run("what is not asked about costs nothing", func(t *testing.T) {
		c, calls := s.from(t, "127.0.0.12"), s.service.Calls("/result")
		foreign := bwstest.New(bwstest.Config{AppID: "another"}).Token(bwstest.TokenSpec{BCID: alice})
		of := func(start time.Duration) string {
			return s.service.Token(bwstest.TokenSpec{BCID: alice, NotBefore: time.Now().Add(start)})
		}
		for range allowance + 1 {
			c.expect("malformed_token", "nonsense")
			c.expect("foreign_token", foreign)
			c.expect("expired_token", of(-time.Hour))
			c.expect("not_yet_valid", of(time.Hour))
		}
		s.checkCalls(t, calls, 0)
		spend(c)
	})
	t.Run("security case 98: who is no proxy is not believed", func(t *testing.T) {
		covers(t)
		c := s.from(t, "127.0.0.13")
		spend(c)
		calls := s.service.Calls("/result")
		for _, headers := range [][]string{
			{"X-Forwarded-For: 203.0.113.1"},
			{"X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 203.0.113.2"},
			{"X-Forwarded-For: a"},
			{"X-Forwarded-For: 127.0.0.2"},
			{"X-Real-IP: 203.0.113.1"},
			{"Forwarded: for=203.0.113.1"},
			{"True-Client-IP: 203.0.113.1", "CF-Connecting-IP: 203.0.113.1"},
		} {
			c.expect("rate_limited", invented(), headers...)
		}
		s.checkCalls(t, calls, 0)
		s.from(t, "127.0.0.14").expect("rejected_token", invented())
	})
	t.Run("security case 98: the clients of a proxy", func(t *testing.T) {
		covers(t)
		proxy := s.from(t, "127.0.0.2")
		via := func(addr string) string { return "X-Forwarded-For: " + addr }
		spend(proxy, via("203.0.113.1"))
		spend(proxy, via("2001:db8:0:1::1"))
		spend(proxy, via("a")) // everybody of whom nothing is known
		for _, test := range []struct{ addr, reason string }{
			{"203.0.113.2", "rejected_token"},
			{"198.51.100.1, 203.0.113.1", "rate_limited"},
			{"203.0.113.1:1234", "rate_limited"},
			{"::ffff:203.0.113.1", "rate_limited"},
			{"2001:db8:0:1:ffff:ffff:ffff:ffff", "rate_limited"}, // the same /64
			{"2001:db8:0:2::1", "rejected_token"},
			{"b", "rate_limited"},
		} {
			proxy.expect(test.reason, invented(), via(test.addr))
		}
	})
}

// When all calls that may be under way are, others are told at once, which says nothing about the service, and what takes no
// call goes on.
func TestFullHouse(t *testing.T) {
	s := startLimited(t, "timeout 1m", "cache_ttl 10m", "max_inflight 1", "client_rate 1000 1s")
	c, known, slow := s.from(t, "127.0.0.11"), s.goodToken(), s.goodToken()
	c.expect("", known)
	calls := s.service.Calls("/result")

	s.held.Lock()
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() { c.expect("", slow) })
	}
	eventually(t, "BWS is asked", func() bool { return s.service.Calls("/result") > calls })
	// BWS stays silent until all of these have their answer: whoever waited for it would do so for the timeout.
	for range 20 {
		c.expect("service_busy", s.goodToken())
		c.expect("", known)
		if t.Failed() {
			break // the others would wait as long
		}
	}
	s.held.Unlock()
	waiting.Wait()
	s.checkCalls(t, calls, 1)
	c.expect("", s.goodToken())
}

// Security cases 93 and 94: what a client can provoke is no outage.
func TestWhatIsNoOutage(t *testing.T) {
	covers(t, 93, 94)
	s := startLimited(t, "failure_ttl 0", "client_rate 1000 1s")
	c := s.from(t, "127.0.0.11")
	scripted := func(answer bwstest.Answer) func() string {
		return func() string {
			s.service.Script("/result", answer)
			return s.goodToken()
		}
	}
	for reason, token := range map[string]func() string{
		"rejected_token":        invented,
		"pending":               func() string { return s.token() },
		"live_detection_failed": func() string { return s.token(bwstest.Outcome{Error: bws.LiveDetectionFailed}) },
		"job_timed_out":         func() string { return s.token(bwstest.Outcome{Error: bws.ExecutionOfJobTimedOut}) },
		"service_unavailable":   scripted(bwstest.Answer{Status: http.StatusTooManyRequests}),
		"service_misconfigured": scripted(bwstest.Answer{Status: http.StatusUnauthorized}),
		"service_invalid":       scripted(bwstest.Answer{Body: []byte("{}")}),
	} {
		t.Run(reason, func(t *testing.T) {
			calls := s.service.Calls("/result")
			for range 12 {
				c.expect(reason, token())
			}
			c.expect("", s.goodToken())
			s.checkCalls(t, calls, 13)
		})
	}
}

// Security case 94: a service that is down is left alone, and soon noticed when it is back.
func TestBreaker(t *testing.T) {
	covers(t, 94)
	s := startLimited(t, "cache_ttl 10m", "client_rate 1000 1s")
	c, known := s.from(t, "127.0.0.11"), s.goodToken()
	c.expect("", known)

	s.service.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	eventually(t, "the breaker opens", func() bool {
		calls := s.service.Calls("/result")
		c.expect("service_unavailable", s.goodToken())
		return s.service.Calls("/result") == calls
	})
	calls := s.service.Calls("/result")
	for range 50 {
		c.expect("service_unavailable", s.goodToken())
		c.expect("", known)
	}
	// One may be a probe, if the machine is slow.
	if probes := s.service.Calls("/result") - calls; probes > 1 {
		t.Errorf("BWS was asked %d times while it was down", probes)
	}
	// The service is well again from now on.
	s.service.Reset()
	start := time.Now()
	eventually(t, "requests pass again", func() bool { return c.ask(s.goodToken()).StatusCode == http.StatusOK })
	// A probe is due after 10 s at the latest; the rest is for a machine that is busy.
	if took := time.Since(start); took > 12*time.Second {
		t.Errorf("that took %s", took)
	}
}
