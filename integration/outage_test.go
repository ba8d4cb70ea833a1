package integration

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// startOutageSite runs a site with gates of each kind, at a service whose memory is long, short or none, and one at another service.
func startOutageSite(t *testing.T) (s *gatedSite, other *bwstest.Server) {
	t.Helper()
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	other = bwstest.NewServer(t, bwstest.Config{})
	c := startCaddy(t, serviceOption("", service.URL, "cache_ttl 10m", "client_rate 100000 1m")+
		serviceOption("short", service.URL, "cache_ttl 1s", "client_rate 100000 1m")+serviceOption("other", other.URL), `{addr} {
	bws /plain*
	bws /short* short
	bws /other* other
	bws /once* {
		once
	}
	bws /session* {
		session
	}
	bws /report* {
		report_only
	}
	reverse_proxy `+app.Listener.Addr().String()+"\n}")
	return &gatedSite{c, t, service, app}, other
}

// An outage lets nobody in whom BWS has not let in before, as long as that may be remembered, and where a token is good once,
// nobody at all. Clients cannot make it longer, nor touch another service by it.
func TestOutage(t *testing.T) {
	covers(t, 92, 93, 94)
	t.Parallel()
	s, other := startOutageSite(t)
	get := func(path string, headers ...string) string {
		return do(t, http.MethodGet, "http://"+s.Addr+path, headers...).outcome()
	}
	known, brief := good(s.service), good(s.service)
	cookie := begin(t, "http://"+s.Addr+"/session", good(s.service))
	for path, headers := range map[string][]string{"/plain": known, "/short": brief} {
		if got := get(path, headers...); got != "200" {
			t.Fatalf("%s: %s", path, got)
		}
	}
	s.service.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	s.app.take()

	for range 8 { // the breaker opens on the way
		for path, headers := range map[string][]string{"/plain": good(s.service), "/once": known, "/session": good(s.service)} {
			s.checkKeptOut(t, do(t, http.MethodGet, "http://"+s.Addr+path, headers...), "service_unavailable")
		}
	}
	for name, header := range map[string]string{
		"a huge token": strings.Repeat("e30.", 2<<10), "nonsense": "\"x\"", "a list": "x, y", "empty": "", "dots": "...",
		"another application's": bwstest.New(bwstest.Config{AppID: "x"}).Token(bwstest.TokenSpec{BCID: alice}),
	} {
		got := do(t, http.MethodGet, "http://"+s.Addr+"/plain", "X-BWS-Token: "+header)
		if got.StatusCode != http.StatusUnauthorized || len(s.app.take()) > 0 {
			t.Errorf("%s: got %d %s", name, got.StatusCode, got.Body)
		}
	}
	for path, headers := range map[string][]string{"/plain": known, "/session": {cookie}, "/other": good(other)} {
		if got := get(path, headers...); got != "200" {
			t.Errorf("%s: %s", path, got)
		}
	}
	s.app.take()
	do(t, http.MethodGet, "http://"+s.Addr+"/report", append(good(s.service), "X-BWS-BCID: admin")...)
	if header := s.reached(t).Header; header.Get("X-BWS-BCID") != "" || header.Get("X-BWS-Token") != "" {
		t.Errorf("where it is only reported, the app gets %q", header)
	}
	eventually(t, "what is remembered ends", func() bool { return get("/short", brief...) == "503 service_unavailable" })
	s.service.Reset()
	within(t, 20*time.Second, "requests pass again", func() bool { return get("/plain", good(s.service)...) == "200" })
	eventually(t, "tokens are good once again", func() bool { return get("/once", good(s.service)...) == "200" })
}

// A call is repeated once, if another try may help, and never after an answer.
func TestRetries(t *testing.T) {
	covers(t, 95)
	s := startSite(t, "", "\tbws")
	for name, test := range map[string]struct {
		answer bwstest.Answer
		calls  int
	}{
		"502":             {bwstest.Answer{Status: http.StatusBadGateway}, 2},
		"503":             {bwstest.Answer{Status: http.StatusServiceUnavailable}, 2},
		"504":             {bwstest.Answer{Status: http.StatusGatewayTimeout}, 2},
		"500":             {bwstest.Answer{Status: http.StatusInternalServerError}, 1},
		"429":             {bwstest.Answer{Status: http.StatusTooManyRequests}, 1},
		"401":             {bwstest.Answer{Status: http.StatusUnauthorized}, 1},
		"400":             {bwstest.Answer{Status: http.StatusBadRequest}, 1},
		"204":             {bwstest.Answer{Status: http.StatusNoContent}, 1},
		"302":             {bwstest.Answer{Status: http.StatusFound, Header: http.Header{"Location": {"/"}}}, 1},
		"a false result":  {bwstest.Answer{Body: []byte(`{"Action":"verification","BCID":"bioid/9876/12345","Success":false}`)}, 1},
		"an odd result":   {bwstest.Answer{Body: []byte(`{"Success":true}`)}, 1},
		"half a result":   {rawAnswer("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 66\n\n{"), 1},
		"no answer":       {bwstest.Answer{Hang: true}, 1},
		"a late answer":   {bwstest.Answer{Body: []byte(verified), Delay: 2 * time.Second}, 1},
		"no HTTP":         {rawAnswer("garbage\n\n"), 1},
		"shut in between": {rawAnswer(""), 2},
	} {
		t.Run(name, func(t *testing.T) {
			s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+s.goodToken()) // leaves a connection that is in good order
			s.reached(t)
			calls := s.service.Calls("/result")
			s.service.Script("/result", test.answer)
			got := s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+s.goodToken())
			if asked := s.service.Calls("/result") - calls; asked != test.calls {
				t.Errorf("BWS was asked %d times, want %d", asked, test.calls)
			}
			if passed := len(s.app.take()) > 0; passed != (test.calls == 2) {
				t.Errorf("got %d %s", got.StatusCode, got.Body)
			}
		})
	}
	t.Run("as often as it fails", func(t *testing.T) {
		calls := s.service.Calls("/result")
		unavailable := bwstest.Answer{Status: http.StatusServiceUnavailable}
		s.service.Script("/result", unavailable, unavailable)
		s.checkKeptOut(t, s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+s.goodToken()), "service_unavailable")
		if asked := s.service.Calls("/result") - calls; asked != 2 {
			t.Errorf("BWS was asked %d times, want twice", asked)
		}
	})
}

// Nobody notices when BWS closes connections that are not in use: not with HTTP/1.1, nor with HTTP/2, where it says so first.
func TestConnectionsThatBWSCloses(t *testing.T) {
	covers(t, 96)
	ca := newAuthority(t)
	service := bwstest.New(bwstest.Config{})
	var goAway atomic.Bool
	var protocols, connections tally
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols.add(r.Proto)
		connections.add(r.RemoteAddr)
		if goAway.Load() {
			w.Header().Set("Connection", "close") // GOAWAY after this answer
		}
		service.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})}}
	server.StartTLS()
	t.Cleanup(server.Close)
	c := startCaddy(t, serviceOption("", server.URL+bwstest.Base, "cache_ttl 0", "client_rate 1000 1s", "tls_trust_pool file "+ca.file),
		"{addr} {\n\tbws\n\trespond \"app\"\n}")
	get := func(when string) {
		t.Helper()
		got, err := ask(t.Context(), client, http.MethodGet, "http://"+c.Addr, "", "X-BWS-Token: "+goodOf(service, alice))
		if err != nil || got.Body != "app" {
			t.Errorf("%s: got %+v, %v", when, got, err)
		}
	}
	const times = 10
	for range times {
		get("as it is")
	}
	goAway.Store(true)
	for range times {
		get("one after the other")
	}
	var crowd sync.WaitGroup // while others are under way
	for range times {
		crowd.Go(func() { get("while others are under way") })
	}
	crowd.Wait()
	goAway.Store(false)
	for range times {
		get("closed without a word")
		server.CloseClientConnections()
	}
	if others := protocols.allBut("HTTP/2.0"); len(others) > 0 || protocols.of("HTTP/2.0") < 4*times {
		t.Errorf("BWS was asked over %v", protocols.counts)
	}
	if opened := len(connections.counts); opened < 2*times {
		t.Errorf("there were %d connections, so that not many were closed", opened)
	}
}

// A service whose name does not resolve is one that cannot be reached, within the deadline, and the log has no URL.
func TestNoSuchName(t *testing.T) {
	covers(t, 75)
	t.Parallel()
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	c := startCaddy(t, serviceOption("", "https://bws.invalid/extension", "timeout 2s"),
		"{addr} {\n\tbws\n\treverse_proxy "+app.Listener.Addr().String()+"\n}")
	token := goodToken(service)
	start := time.Now()
	got := do(t, http.MethodGet, "http://"+c.Addr, "X-BWS-Token: "+token)
	if took := time.Since(start); took > lateness {
		t.Errorf("the answer took %s", took)
	}
	// Where there is no resolver at all, it may take until the deadline to find out.
	if reason := got.reason(); reason != "service_unavailable" && reason != "service_timeout" || got.Header.Get("Retry-After") == "" && got.StatusCode == 503 {
		t.Errorf("got %d %q %s", got.StatusCode, got.Header, got.Body)
	}
	if len(app.take()) > 0 {
		t.Error("the app is reached")
	}
	c.waitForLog("service fault")
	checkNoToken(t, c, token)
}

// When what is remembered of a token ends, those who come at that moment share one call, too.
func TestHerdAtTheEnd(t *testing.T) {
	covers(t, 49)
	t.Parallel()
	s := cacheSite(t)
	const turns = 4
	token := good(s.service)
	s.asking(t, 1, "/short", 200, token...)
	s.service.ScriptAlways("/result", bwstest.Answer{Body: []byte(verified), Delay: 200 * time.Millisecond})
	calls, began := s.service.Calls("/result"), time.Now()
	herd := newCrew(t)
	for range 32 {
		herd.repeat(func() {
			if got, err := ask(t.Context(), client, http.MethodGet, "http://"+s.Addr+"/short", "", token...); err != nil || got.StatusCode != http.StatusOK {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	eventually(t, "it ends some times", func() bool { return s.service.Calls("/result")-calls >= turns })
	took := time.Since(began)
	herd.stop()
	// Between two calls there are the second for which the result is remembered and the delay.
	if least := (turns - 1) * 1200 * time.Millisecond; took < least {
		t.Errorf("%d calls have taken %s, want %s at least: some were for the same", turns, took, least)
	}
}

// What is remembered of tokens stays within cache_size, and what is forgotten is asked again.
func TestMoreTokensThanFit(t *testing.T) {
	covers(t, 52)
	t.Parallel()
	const fit, many = 50, 1500
	service := bwstest.NewServer(t, bwstest.Config{})
	c := startCaddy(t, serviceOption("", service.URL, "cache_ttl 10m", fmt.Sprintf("cache_size %d", fit), "client_rate 1000000 1m"),
		"{addr} {\n\tbws\n\trespond \"app\"\n}")
	tokens := make([]string, many)
	crowd := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 30 * time.Second}
	t.Cleanup(crowd.CloseIdleConnections)
	present := func() (calls int) {
		before := service.Calls("/result")
		inCrowd(16, many, func(i int) {
			if got, err := ask(t.Context(), &crowd, http.MethodGet, "http://"+c.Addr, "", tokens[i]); err != nil || got.StatusCode != http.StatusOK {
				t.Errorf("got %v, %v", got, err)
			}
		})
		return service.Calls("/result") - before
	}
	for i := range tokens {
		tokens[i] = good(service)[0]
	}
	present()
	heap := c.heap()
	if calls := present(); calls < many-2*fit {
		t.Errorf("BWS was asked for %d of %d tokens, so that too many were remembered", calls, many)
	}
	if grown := c.heap() - heap; grown > sparedHeap {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}
