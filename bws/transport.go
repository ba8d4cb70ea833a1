package bws

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// idleConns bounds the connections kept open to the service, the only host the transport ever talks to.
	idleConns = 64
	idleTime  = 90 * time.Second
	// connectTime bounds dialing, and the TLS handshake again. Both go on for the next call when the call that wanted the
	// connection has reached its deadline.
	connectTime = 10 * time.Second
	// maxResponseHeader bounds the header of an answer, informational ones included.
	maxResponseHeader = 16 << 10
	// With HTTP/2 all calls share a connection. Without pings, one that is dead would hold up all of them until the system
	// notices, which takes minutes.
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
)

// TransportConfig is how to reach the service. The zero value suits the public one.
type TransportConfig struct {
	// Proxy is an http, https or socks5 proxy, with userinfo if it wants credentials. Default: none; the proxy settings of
	// the environment are not used.
	Proxy *url.URL
	// RootCAs are the authorities that may sign the service's certificate. Default: those of the system.
	RootCAs *x509.CertPool
}

// NewTransport returns a transport made for one service: TLS 1.2 or later, no compression, small response headers,
// connections kept open.
func NewTransport(cfg TransportConfig) *http.Transport {
	t := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout:    connectTime,
		DisableCompression:     true,
		MaxIdleConns:           idleConns,
		MaxIdleConnsPerHost:    idleConns,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxResponseHeader,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if cfg.Proxy != nil {
		t.Proxy = http.ProxyURL(cfg.Proxy)
	}
	return t
}

// dial opens a connection.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialWith(ctx, net.DefaultResolver, network, address)
}

// dialWith opens a connection, with a resolver of its own that asks as the usual one does. A shared one would merge lookups of the same
// name: calls would wait for a lookup that began while the name servers were silent, even though they answer again.
func dialWith(ctx context.Context, usual *net.Resolver, network, address string) (net.Conn, error) {
	dialer := net.Dialer{
		Timeout:  connectTime,
		Resolver: &net.Resolver{PreferGo: usual.PreferGo, StrictErrors: usual.StrictErrors, Dial: usual.Dial},
	}
	return dialer.DialContext(ctx, network, address)
}
