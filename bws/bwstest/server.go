package bwstest

import (
	"context"
	"crypto/x509"
	"net"
	"net/http/httptest"
)

// TB is the part of [testing.TB] that a server needs.
type TB interface {
	Helper()
	Cleanup(func())
}

// Server is a Service on a port of the loopback interface.
type Server struct {
	*Service
	// URL is the endpoint for clients, without a trailing slash.
	URL string
	// UI is the address of the camera page.
	UI string

	http *httptest.Server
	stop context.CancelFunc
}

// NewServer starts a service that lives until the test ends.
func NewServer(t TB, cfg Config) *Server {
	t.Helper()
	return start(t, cfg, (*httptest.Server).Start)
}

// NewTLSServer is [NewServer] with TLS. Clients must trust [Server.CertPool].
func NewTLSServer(t TB, cfg Config) *Server {
	t.Helper()
	return start(t, cfg, (*httptest.Server).StartTLS)
}

func start(t TB, cfg Config, listen func(*httptest.Server)) *Server {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{Service: New(cfg), stop: stop}
	s.http = httptest.NewUnstartedServer(s.Service)
	s.http.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	listen(s.http)
	s.URL, s.UI = s.http.URL+Base, s.http.URL+PerformTask
	t.Cleanup(s.Close)
	return s
}

// CertPool returns the certificate of the server as the only one to trust. It is empty without TLS.
func (s *Server) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	if cert := s.http.Certificate(); cert != nil {
		pool.AddCert(cert)
	}
	return pool
}

// Close stops the server, scripted answers that would take longer included.
func (s *Server) Close() {
	s.stop()
	s.http.CloseClientConnections()
	s.http.Close()
}
