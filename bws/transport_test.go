package bws

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// tlsClient returns a client for server that trusts its certificate.
func tlsClient(t *testing.T, server *httptest.Server, timeout time.Duration) *Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return newClientWith(t, Config{
		Endpoint: server.URL, Timeout: timeout, Transport: NewTransport(TransportConfig{RootCAs: pool}),
	})
}

// tlsServer starts a server that is quiet about handshakes that fail.
func tlsServer(t *testing.T, config *tls.Config) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(answer(200, "application/json", identified))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// makeCertificate returns a certificate for name that signs itself and ends after life.
func makeCertificate(t *testing.T, name string, life time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-2 * time.Hour),
		NotAfter:     time.Now().Add(life),
		DNSNames:     []string{name},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	if name != "" {
		template.IPAddresses = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestTLS(t *testing.T) {
	server := tlsServer(t, nil)
	if got, err := tlsClient(t, server, 0).Result(t.Context(), testToken); err != nil || !got.Success {
		t.Fatalf("got %+v, %v", got, err)
	}
	for name, test := range map[string]struct {
		server *httptest.Server
		hint   string
		trust  bool
	}{
		"case 90: unknown authority": {tlsServer(t, nil), "unknown authority", false},
		"case 90: expired": {
			tlsServer(t, &tls.Config{Certificates: []tls.Certificate{makeCertificate(t, "", -time.Hour)}}), "expired", true,
		},
		"case 90: wrong host": {
			tlsServer(t, &tls.Config{Certificates: []tls.Certificate{makeCertificate(t, strings.ToLower(serverBytes), time.Hour)}}),
			"not valid for 127.0.0.1", true,
		},
		"case 90: TLS 1.0": {
			tlsServer(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}), "protocol version", true,
		},
		"case 90: TLS 1.1": {
			tlsServer(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), "protocol version", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := newTestClient(t, test.server.URL, 0)
			if test.trust {
				client = tlsClient(t, test.server, 0)
			}
			_, err := client.Result(t.Context(), testToken)
			if e := wantError(t, err, ErrUnavailable); !e.Connect || e.Status != 0 || !strings.Contains(e.Error(), test.hint) ||
				strings.Contains(e.Error(), strings.ToLower(serverBytes)) {
				t.Errorf("got %+v: %v; want a hint at %q", e, e, test.hint)
			}
		})
	}
	t.Run("case 90: no TLS", func(t *testing.T) {
		plain := httptest.NewServer(answer(200, "application/json", identified))
		defer plain.Close()
		_, err := newTestClient(t, strings.Replace(plain.URL, "http", "https", 1), 0).Result(t.Context(), testToken)
		if e := wantError(t, err, ErrUnavailable); !e.Connect || !strings.Contains(e.Error(), "does not speak TLS") {
			t.Errorf("got %+v: %v", e, e)
		}
	})
}

func TestNoConnection(t *testing.T) {
	t.Run("case 75: refused", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
		_, err = newTestClient(t, "http://"+listener.Addr().String(), 0).Result(t.Context(), testToken)
		if e := wantError(t, err, ErrUnavailable); !e.Connect || !strings.Contains(e.Error(), "connection refused") {
			t.Errorf("got %+v: %v", e, e)
		}
	})
	t.Run("case 75: handshake without end", func(t *testing.T) {
		url := strings.Replace(rawServer(t, silence("")), "http", "https", 1)
		_, err := newTestClient(t, url, brief).Result(t.Context(), testToken)
		if e := wantError(t, err, ErrTimeout); !e.Connect {
			t.Errorf("got %+v: %v", e, e)
		}
	})
	for name, cause := range map[string]*net.DNSError{
		"case 75: NXDOMAIN": {Err: "no such host", Name: "bws.invalid", IsNotFound: true},
		"case 75: SERVFAIL": {Err: "server misbehaving", Name: "bws.invalid", Server: "192.0.2.1:53", IsTemporary: true},
		"case 75: no DNS":   {Err: "i/o timeout", Name: "bws.invalid", IsTimeout: true},
	} {
		t.Run(name, func(t *testing.T) {
			transport := NewTransport(TransportConfig{})
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: cause}
			}
			client := newClientWith(t, Config{Endpoint: "https://bws.invalid/extension", Transport: transport})
			_, err := client.Result(t.Context(), testToken)
			if e := wantError(t, err, ErrUnavailable); !e.Connect || !strings.HasSuffix(e.Error(), "lookup of bws.invalid: "+cause.Err) {
				t.Errorf("got %+v: %v", e, e)
			}
		})
	}
	t.Run("case 75: dialing takes too long", func(t *testing.T) {
		transport := NewTransport(TransportConfig{})
		transport.DialContext = (&net.Dialer{Timeout: 1}).DialContext
		_, err := newClientWith(t, Config{Endpoint: "http://127.0.0.1:1", Transport: transport}).Result(t.Context(), testToken)
		if e := wantError(t, err, ErrUnavailable); !e.Connect || !strings.HasSuffix(e.Error(), "timed out") {
			t.Errorf("got %+v: %v", e, e)
		}
	})
	t.Run("case 75: slow DNS", func(t *testing.T) {
		transport := NewTransport(TransportConfig{})
		release := make(chan struct{})
		defer close(release)
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			<-release
			return nil, errors.New("too late")
		}
		client := newClientWith(t, Config{Endpoint: "https://bws.invalid/", Timeout: brief, Transport: transport})
		_, err := client.Result(t.Context(), testToken)
		if e := wantError(t, err, ErrTimeout); !e.Connect {
			t.Errorf("got %+v: %v", e, e)
		}
	})
}

// roundTrip is a transport that knows nothing of traces.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOtherTransport(t *testing.T) {
	client := newClientWith(t, Config{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New(r.Header.Get("Authorization"))}
	})})
	_, err := client.Result(t.Context(), testToken)
	if e := wantError(t, err, ErrUnavailable); e.Connect {
		t.Error("claims that nothing was sent, which it cannot know")
	}
	client.CloseIdleConnections()
}

// hangUp returns the URL of a server that closes each connection at once.
func hangUp(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

func TestProxy(t *testing.T) {
	const user, password = "proxyuser", "hunter2"
	proxyTo := func(t *testing.T, rawURL string) http.RoundTripper {
		proxy, err := url.Parse(rawURL)
		if err != nil {
			t.Fatal(err)
		}
		proxy.User = url.UserPassword(user, password)
		return NewTransport(TransportConfig{Proxy: proxy})
	}
	t.Run("is used", func(t *testing.T) {
		var target, credentials string
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			target, credentials = r.URL.String(), r.Header.Get("Proxy-Authorization")
			answer(200, "application/json", identified)(w, r)
		}))
		defer proxy.Close()
		client := newClientWith(t, Config{Endpoint: "http://localhost:1/extension", Transport: proxyTo(t, proxy.URL)})
		if got, err := client.Result(t.Context(), testToken); err != nil || !got.Success {
			t.Fatalf("got %+v, %v", got, err)
		}
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
		if !strings.HasPrefix(target, "http://localhost:1/extension/result?") || credentials != want {
			t.Errorf("the proxy got %q with credentials %q", target, credentials)
		}
	})
	gone := hangUp(t)
	for name, proxy := range map[string]string{
		"case 75: refuses":        rawServer(t, write("HTTP/1.1 407 "+serverBytes+" "+password+"\r\n\r\n")),
		"case 75: hangs up":       gone,
		"case 75: is no proxy":    rawServer(t, write(serverBytes+"\r\n\r\n")),
		"case 75: is not there":   "http://127.0.0.1:1",
		"case 75: is no SOCKS":    strings.Replace(gone, "http", "socks5", 1),
		"case 75: SOCKS is gone":  "socks5://127.0.0.1:1",
		"case 75: does not speak": strings.Replace(gone, "http", "https", 1),
	} {
		t.Run(name, func(t *testing.T) {
			client := newClientWith(t, Config{Endpoint: "https://bws.invalid/extension", Transport: proxyTo(t, proxy)})
			_, err := client.Result(t.Context(), testToken)
			e := wantError(t, err, ErrUnavailable)
			if !e.Connect || strings.Contains(e.Error(), user) || strings.Contains(e.Error(), password) {
				t.Errorf("got %+v: %v", e, e)
			}
		})
	}
}

func TestNewTransport(t *testing.T) {
	transport := NewTransport(TransportConfig{})
	if transport.Proxy != nil {
		t.Error("uses the proxy settings of the environment")
	}
	if !transport.DisableCompression || transport.MaxResponseHeaderBytes != 16<<10 ||
		transport.TLSClientConfig.MinVersion != tls.VersionTLS12 || transport.TLSClientConfig.InsecureSkipVerify {
		t.Errorf("too lax: %+v", transport)
	}
}
