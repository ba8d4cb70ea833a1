package bws

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/dnstest"
)

// A name server that is back serves new calls at once, though an older lookup still waits for its answer.
func TestNameServerThatComesBack(t *testing.T) {
	names := dnstest.Start(t)
	usual := net.DefaultResolver
	net.DefaultResolver = dnstest.Resolver(names.Addr)
	t.Cleanup(func() { net.DefaultResolver = usual })
	server := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{makeCertificate(t, "bws.name.test", time.Hour)}})
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	client := func(timeout time.Duration) *Client {
		return newClientWith(t, Config{
			Endpoint: strings.Replace(server.URL, "127.0.0.1", "bws.name.test", 1), Timeout: timeout,
			Transport: NewTransport(TransportConfig{RootCAs: pool}),
		})
	}
	names.Set("name.test", dnstest.Silent)
	_, err := client(50*time.Millisecond).Result(t.Context(), testToken)
	wantError(t, err, ErrTimeout)
	names.Set("name.test", dnstest.Here)
	// The first lookup asks again after five seconds.
	if _, err := client(3*time.Second).Result(t.Context(), testToken); err != nil {
		t.Error(err)
	}
	names.Set("name.test", dnstest.Gone)
	_, err = client(3*time.Second).Result(t.Context(), testToken)
	if e := wantError(t, err, ErrUnavailable); !e.Connect {
		t.Error("a connection was made")
	}
}
