package integration

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/dnstest"
)

// slowLookup is how long name servers take that are slow.
const slowLookup = 300 * time.Millisecond

// bwsFault is a way in which BWS fails, or what is between Caddy and BWS.
type bwsFault struct {
	id string
	// name is what the page calls it.
	name string
	// reason is that of denials because of it, "" if it does no harm.
	reason string
	// breaks says that it counts towards the breaker.
	breaks bool
	// tls says that BWS speaks TLS, named that it is found by a name.
	tls, named bool
	begin, end func(*peer)
}

// bwsFaults are the faults; where there is no end, it is enough that the proxies are healed.
func bwsFaults() []*bwsFault {
	const drip = 50 * time.Millisecond
	html := http.Header{"Content-Type": {"text/html"}}
	elsewhere := http.Header{"Location": {"http://127.0.0.1:1/extension/result"}}
	poison := func(kind string) func(*peer) {
		return func(p *peer) { p.proxy.poison(kind, map[string]int{"timeout": 0}) }
	}
	answer := func(a bwstest.Answer) func(*peer) { return func(p *peer) { p.answerAll(a) } }
	slowHeaders := []byte("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Wait: yes\r\n", 100) + "\r\n")
	slowBody, hugeBody := []byte(strings.Repeat(" ", 1000)+verified), []byte(strings.Repeat(" ", 4<<20)+verified)
	return []*bwsFault{
		{id: "none", name: "fine", begin: func(*peer) {}},
		{id: "down", name: "takes connections, but never answers", reason: "service_timeout", breaks: true, begin: poison("timeout")},
		{id: "refused", name: "refuses connections", reason: "service_unavailable", breaks: true, begin: func(p *peer) { p.proxy.cut() }},
		{id: "reset", name: "resets connections", reason: "service_unavailable", breaks: true, begin: poison("reset_peer")},
		{id: "headers", name: "sends headers byte by byte", reason: "service_timeout", breaks: true,
			begin: answer(bwstest.Answer{Raw: slowHeaders, Drip: drip}), end: (*peer).answerByItself},
		{id: "body", name: "sends the body byte by byte", reason: "service_timeout", breaks: true,
			begin: answer(bwstest.Answer{Body: slowBody, Drip: drip}), end: (*peer).answerByItself},
		{id: "huge", name: "sends a body of 4 MiB", reason: "service_invalid",
			begin: answer(bwstest.Answer{Body: hugeBody}), end: (*peer).answerByItself},
		{id: "type", name: "sends a web page with status 200", reason: "service_invalid",
			begin: answer(bwstest.Answer{Header: html, Body: []byte("<title>Welcome</title>")}), end: (*peer).answerByItself},
		{id: "redirect", name: "answers 302", reason: "service_invalid",
			begin: answer(bwstest.Answer{Status: http.StatusFound, Header: elsewhere}), end: (*peer).answerByItself},
		{id: "credentials", name: "answers 401", reason: "service_misconfigured",
			begin: answer(bwstest.Answer{Status: http.StatusUnauthorized}), end: (*peer).answerByItself},
		{id: "error", name: "answers 500", reason: "service_unavailable", breaks: true,
			begin: answer(bwstest.Answer{Status: http.StatusInternalServerError}), end: (*peer).answerByItself},
		{id: "flapping", name: "answers every other call with 503",
			begin: func(p *peer) { p.flaps.Store(true) }, end: func(p *peer) { p.flaps.Store(false) }},
		{id: "expired", name: "has a certificate that has expired", reason: "service_unavailable", breaks: true, tls: true,
			begin: (*peer).showOtherCertificate, end: (*peer).showCertificate},
		{id: "host", name: "has a certificate for another host", reason: "service_unavailable", breaks: true, tls: true,
			begin: (*peer).showOtherCertificate, end: (*peer).showCertificate},
		{id: "nameless", name: "has a name that does not exist", reason: "service_unavailable", breaks: true, tls: true, named: true,
			begin: (*peer).loseName, end: (*peer).findName},
		{id: "misnamed", name: "has a name that name servers fail at (SERVFAIL)", reason: "service_unavailable", breaks: true, tls: true, named: true,
			begin: (*peer).breakName, end: (*peer).findName},
		{id: "slowname", name: "has a name that name servers take 300 ms for, at each call", tls: true, named: true,
			begin: (*peer).slowName, end: (*peer).findName},
		{id: "unnamed", name: "has a name that name servers do not answer for", reason: "service_timeout", breaks: true, tls: true, named: true,
			begin: (*peer).silenceName, end: (*peer).findName},
	}
}

// peer is a BWS that is about to fail in one way. For each state of the storage it has an emulator, below a path of that name.
type peer struct {
	*bwsFault
	services map[string]*bwstest.Service
	names    *dnstest.Server
	proxy    *toxiproxy

	server      *httptest.Server
	port        string
	flaps       atomic.Bool
	calls       map[string]*atomic.Int64
	good, other tls.Certificate
	shown       atomic.Pointer[tls.Certificate]
}

func startPeer(t *testing.T, fault *bwsFault, storages []*storageFault, names *dnstest.Server, ca *authority) *peer {
	t.Helper()
	p := &peer{bwsFault: fault, names: names, services: make(map[string]*bwstest.Service), calls: make(map[string]*atomic.Int64)}
	for _, storage := range storages {
		p.services[storage.id], p.calls[storage.id] = bwstest.New(bwstest.Config{}), new(atomic.Int64)
	}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(func() { p.server.Close() })
	_, p.port, _ = net.SplitHostPort(p.server.Listener.Addr().String())
	if !fault.tls {
		p.server.Start()
		return p
	}
	ours := func() *x509.Certificate {
		return &x509.Certificate{DNSNames: []string{p.host("*")}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	}
	other := &x509.Certificate{DNSNames: []string{"bws.example.com"}}
	if fault.id == "expired" {
		other = ours()
		other.NotAfter = time.Now().Add(-time.Hour)
	}
	p.good, p.other = ca.issue(t, ours()), ca.issue(t, other)
	p.showCertificate()
	p.server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*p.shown.Load()}}, nil
	}}
	p.server.StartTLS()
	return p
}

// host is the name by which a service finds the peer, if it is named.
func (p *peer) host(storage string) string { return storage + "." + p.domain() }

// endpoint is what the service for a state of the storage is configured with.
func (p *peer) endpoint(storage string) string {
	path := "/" + storage + bwstest.Base
	switch {
	case p.named:
		return "https://" + p.host(storage) + ":" + p.port + path
	case p.tls:
		return "https://127.0.0.1:" + p.port + path
	}
	return "http://" + p.proxy.Addr + path
}

// ServeHTTP has the emulator for the state of the storage answer.
func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	storage, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if p.flaps.Load() && p.calls[storage].Add(1)%2 == 1 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	p.services[storage].ServeHTTP(w, r)
}

func (p *peer) answerAll(a bwstest.Answer) {
	for _, service := range p.services {
		service.ScriptAlways("/result", a)
		service.ScriptAlways("/token", a)
	}
}

func (p *peer) answerByItself() {
	for _, service := range p.services {
		service.Reset()
	}
}

func (p *peer) showCertificate() { p.shown.Store(&p.good) }

func (p *peer) showOtherCertificate() {
	p.shown.Store(&p.other)
	p.server.CloseClientConnections() // that it matters to
}

func (p *peer) loseName()    { p.hide(dnstest.Gone) }
func (p *peer) breakName()   { p.hide(dnstest.Broken) }
func (p *peer) silenceName() { p.hide(dnstest.Silent) }

func (p *peer) hide(state dnstest.State) {
	p.names.Set(p.domain(), state)
	p.server.CloseClientConnections()
}

// slowName has each call look the name up, slowly.
func (p *peer) slowName() {
	p.names.Slow(p.domain(), slowLookup)
	p.server.Config.SetKeepAlivesEnabled(false)
}

func (p *peer) findName() {
	p.names.Set(p.domain(), dnstest.Here)
	p.server.Config.SetKeepAlivesEnabled(true)
}

// domain is that of the names by which services find the peer.
func (p *peer) domain() string { return p.id + ".test" }
