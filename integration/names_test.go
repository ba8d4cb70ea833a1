package integration

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/dnstest"
)

// Whatever name servers make of BWS's name, a request is answered in time and for the right reason, and passes again as soon as they
// are well.
func TestNameServers(t *testing.T) {
	t.Parallel()
	names, ca, app := dnstest.Start(t), newAuthority(t), newApp(t)
	fine := &storageFault{id: "fine"}
	p := startPeer(t, &bwsFault{id: "names", tls: true, named: true}, []*storageFault{fine}, names, ca)
	p.server.Config.SetKeepAlivesEnabled(false) // so that each call looks the name up
	service := &bwstest.Server{Service: p.services[fine.id]}
	c := newFaultyCaddy(t, names)
	c.runSites(serviceOption("", p.endpoint(fine.id), "timeout 2s", "tls_trust_pool file "+ca.file),
		"{addr} {\n\tbws /plain\n\tbws /session {\n\t\tsession\n\t}\n\treverse_proxy "+app.Listener.Addr().String()+"\n}")
	s := &gatedSite{c, t, service, app}

	for _, test := range []struct {
		name   string
		begin  func()
		reason string // "" if it does no harm
	}{
		{"they do not know it", func() { names.Set(p.domain(), dnstest.Gone) }, "service_unavailable"},
		{"they fail", func() { names.Set(p.domain(), dnstest.Broken) }, "service_unavailable"},
		{"they are silent", func() { names.Set(p.domain(), dnstest.Silent) }, "service_timeout"},
		{"they are slower than the timeout", func() { names.Slow(p.domain(), lateness) }, "service_timeout"},
		{"they are slow", func() { names.Slow(p.domain(), slowLookup) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			covers(t, 75, 76)
			test.begin()
			for _, path := range []string{"/plain", "/session"} {
				token, start := s.goodToken(), time.Now()
				got := do(t, http.MethodGet, "http://"+s.Addr+path, "X-BWS-Token: "+token)
				took := time.Since(start)
				if took > lateness {
					t.Errorf("%s: the answer took %s", path, took)
				}
				checkNoToken(t, s.caddyProcess, token)
				if test.reason != "" {
					s.checkKeptOut(t, got, test.reason)
					if len(got.Cookies()) > 0 {
						t.Errorf("%s: a session begins", path)
					}
					continue
				}
				if s.reached(t); took < slowLookup {
					t.Errorf("%s: the answer took only %s", path, took)
				}
			}
			names.Set(p.domain(), dnstest.Here)
			if got := do(t, http.MethodGet, "http://"+s.Addr+"/plain", good(s.service)...); got.StatusCode != http.StatusOK {
				t.Errorf("after it is over: got %d %s", got.StatusCode, got.Body)
			}
			s.app.take()
		})
	}
}
