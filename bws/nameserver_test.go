package bws

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/dnstest"
)

// namedServer starts a service that has a name, and returns what makes new clients of it.
func namedServer(t *testing.T, names *dnstest.Server) func(timeout time.Duration) *Client {
	resolver := dnstest.Resolver(names.Addr)
	server := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{makeCertificate(t, "bws.name.test", time.Hour)}})
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return func(timeout time.Duration) *Client {
		transport := NewTransport(TransportConfig{RootCAs: pool})
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialWith(ctx, resolver, network, address)
		}
		return newClientWith(t, Config{
			Endpoint: strings.Replace(server.URL, "127.0.0.1", "bws.name.test", 1), Timeout: timeout, Transport: transport,
		})
	}
}

// A name server that is back serves new calls at once, though an older lookup still waits for its answer.
func TestNameServerThatComesBack(t *testing.T) {
	t.Parallel()
	names := dnstest.Start(t)
	client := namedServer(t, names)
	names.Set("name.test", dnstest.Silent)
	_, err := client(300*time.Millisecond).Result(t.Context(), testToken)
	wantError(t, err, ErrTimeout)
	names.Set("name.test", dnstest.Here)
	// The first lookup asks again after five seconds.
	if _, err := client(4*time.Second).Result(t.Context(), testToken); err != nil {
		t.Error(err)
	}
}

// What keeps a lookup from an answer keeps the service from being reached, and nothing has been sent to it.
func TestNameServers(t *testing.T) {
	t.Parallel()
	names := dnstest.Start(t)
	client := namedServer(t, names)
	const short, patience = 300 * time.Millisecond, 10 * time.Second
	for name, test := range map[string]struct {
		begin   func()
		timeout time.Duration
		want    error
		detail  string
	}{
		"case 75: NXDOMAIN": {func() { names.Set("name.test", dnstest.Gone) }, patience, ErrUnavailable, "lookup of bws.name.test: no such host"},
		"case 75: SERVFAIL": {func() { names.Set("name.test", dnstest.Broken) }, patience, ErrUnavailable, "lookup of bws.name.test: server misbehaving"},
		"case 75: silence":  {func() { names.Set("name.test", dnstest.Silent) }, short, ErrTimeout, ""},
		"case 75: too slow": {func() { names.Slow("name.test", 2*time.Second) }, short, ErrTimeout, ""},
		"case 75: slow":     {func() { names.Slow("name.test", short) }, patience, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.begin()
			_, err := client(test.timeout).Result(t.Context(), testToken)
			if test.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := wantError(t, err, test.want); !e.Connect || !strings.HasSuffix(e.Error(), test.detail) {
				t.Errorf("got %+v: %v", e, e)
			}
		})
	}
}
