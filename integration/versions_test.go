package integration

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// secureSite is a gated site with TLS, as browsers know it: by a name, and over each version of HTTP.
type secureSite struct {
	*gatedSite
	url string
	tls *tls.Config
}

// startSecureSite is [startSite] with TLS.
func startSecureSite(t *testing.T, servers, directives string) *secureSite {
	t.Helper()
	ca := newAuthority(t)
	cert := ca.issue(t, &x509.Certificate{DNSNames: []string{"localhost"}})
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "site.pem")
	pemText := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(file, pemText, 0o600); err != nil {
		t.Fatal(err)
	}
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	service.Enroll(alice)
	_, port, _ := net.SplitHostPort(freeAddr(t))
	url := "https://localhost:" + port
	c := startCaddy(t, "\tservers {\n"+servers+"\n\t}\n"+serviceOption("", service.URL,
		"timeout 5s", "cache_ttl 0", "failure_ttl 0", "client_rate 100000 1m"),
		fmt.Sprintf("%s {\n\ttls %s %s\n%s\n\treverse_proxy %s\n}", url, file, file,
			strings.ReplaceAll(directives, "{ui}", service.UI), app.Listener.Addr()))
	c.Addr = "localhost:" + port
	trusted := x509.NewCertPool()
	trusted.AddCert(ca.cert)
	return &secureSite{&gatedSite{c, t, service, app}, url, &tls.Config{RootCAs: trusted}}
}

// versions are clients that speak one version of HTTP each.
func (s *secureSite) versions(t *testing.T) map[string]*http.Client {
	t.Helper()
	http1 := &http.Transport{TLSClientConfig: s.tls.Clone(), Protocols: new(http.Protocols)}
	http1.Protocols.SetHTTP1(true)
	http2 := &http.Transport{TLSClientConfig: s.tls.Clone(), Protocols: new(http.Protocols)}
	http2.Protocols.SetHTTP2(true)
	http3 := &http3.Transport{TLSClientConfig: s.tls.Clone()}
	t.Cleanup(func() {
		http1.CloseIdleConnections()
		http2.CloseIdleConnections()
		_ = http3.Close()
	})
	clients := make(map[string]*http.Client)
	for version, transport := range map[string]http.RoundTripper{"HTTP/1.1": http1, "HTTP/2.0": http2, "HTTP/3.0": http3} {
		clients[version] = &http.Client{Transport: transport, CheckRedirect: client.CheckRedirect, Timeout: 30 * time.Second}
	}
	return clients
}

// over sends a request over a version of HTTP. Names of headers are sent as they are written.
func over(t *testing.T, c *http.Client, method, url string, body io.Reader, headers ...string) *answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	got, err := exchange(c, r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// What a request says of persons and tokens means the same in each version of HTTP, whatever the version makes of names and lines.
func TestEveryVersion(t *testing.T) {
	t.Parallel()
	s := startSecureSite(t, acceptOddNames, `	bws /alive* {
		allow livenessdetection
	}
	bws /once* {
		once POST
	}
	bws /plain*`)
	for version, c := range s.versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Run("Identity", func(t *testing.T) {
				covers(t, 1, 2, 3, 5)
				s.forgeOver(t, c, version)
			})
			t.Run("Tokens", func(t *testing.T) {
				covers(t, 8, 34, 40, 117)
				token := s.goodToken()
				for headers, reason := range map[string]string{
					"X-BWS-Token: x|X-BWS-Token: " + token:                         "ambiguous_token",
					"Cookie: __Host-bws_token=x; __Host-bws_token=" + token:        "ambiguous_token",
					"Cookie: __Host-bws_token=x|Cookie: __Host-bws_token=" + token: "ambiguous_token",
					"Cookie: bws_token=" + token:                                   "no_token", // planted by a plain page
					"Authorization: Bearer " + token:                               "no_token",
					"X_BWS_Token: " + token:                                        "no_token",
				} {
					s.checkKeptOut(t, over(t, c, http.MethodGet, s.url+"/plain", nil, strings.Split(headers, "|")...), reason)
				}
			})
			t.Run("Methods", func(t *testing.T) {
				covers(t, 21, 23, 24)
				for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodDelete, "PURGE"} {
					s.checkKeptOut(t, over(t, c, method, s.url+"/plain", nil, "Origin: https://x.example", "Access-Control-Request-Method: POST",
						"X-HTTP-Method-Override: OPTIONS", "Range: bytes=0-0"), "no_token")
				}
				if got := over(t, c, http.MethodHead, s.url+"/plain", nil); got.StatusCode != http.StatusUnauthorized || len(s.app.take()) > 0 {
					t.Errorf("HEAD: got %d", got.StatusCode)
				}
				token := "X-BWS-Token: " + s.goodToken()
				over(t, c, http.MethodGet, s.url+"/once", nil, token, "X-HTTP-Method-Override: POST", "X_method_override: POST")
				for name := range s.reached(t).Header {
					if strings.Contains(strings.ToLower(name), "override") {
						t.Errorf("the app gets %s", name)
					}
				}
				over(t, c, http.MethodPost, s.url+"/once", nil, token) // it was not spent before
				s.reached(t)
				s.checkKeptOut(t, over(t, c, http.MethodPost, s.url+"/once", nil, token), "spent")
			})
			t.Run("Bodies", func(t *testing.T) {
				covers(t, 29)
				s.postOver(t, c)
			})
		})
	}
}

// forgeOver sends identity headers of its own in each spelling, with a token and without.
func (s *secureSite) forgeOver(t *testing.T, c *http.Client, version string) {
	t.Helper()
	forged := []string{"X-BWS-BCID: admin", "x-bws-bcid: root", "X_BWS_BCID: admin", "X_Bws_Action: enrollment", "X-BWS_Verified-At: x",
		"X.BWS.BCID: admin", "X-Bws.Score: 1", "X-BWS-Score: 1"}
	s.checkKeptOut(t, over(t, c, http.MethodGet, s.url+"/plain", nil, forged...), "no_token")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/plain", io.MultiReader(strings.NewReader("x")))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range append(forged, "X-BWS-Token: "+s.goodToken()) {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	r.Trailer = http.Header{"X-Bws-Bcid": {"admin"}}
	got, err := exchange(c, r)
	if err != nil || got.Proto != version || got.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v", got, err)
	}
	reached := s.reached(t)
	for name, values := range reached.Header {
		if strings.ContainsAny(name, "_.") || name == "X-Bws-Score" || slices.ContainsFunc(values, func(v string) bool { return v == "admin" }) {
			t.Errorf("the app gets %s: %q", name, values)
		}
	}
	if !slices.Equal(reached.Header["X-Bws-Bcid"], []string{alice.String()}) || len(reached.Trailer) > 0 {
		t.Errorf("the app gets %q, and the trailer %q", reached.Header, reached.Trailer)
	}
}

// endless is a body that goes on for as long as somebody reads it.
type endless struct{ read *int }

func (e endless) Read(p []byte) (int, error) {
	*e.read += len(p)
	if *e.read > 64<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	return len(p), nil
}

// postOver sends a body that nobody wants, and one that the app gets.
func (s *secureSite) postOver(t *testing.T, c *http.Client) {
	t.Helper()
	var sent int
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/plain", endless{&sent})
	if err != nil {
		t.Fatal(err)
	}
	// The server may end the connection over what is left of the body.
	if got, err := exchange(c, r); err == nil {
		s.checkKeptOut(t, got, "no_token")
	} else if reached := s.app.take(); len(reached) > 0 {
		t.Error("the app is reached")
	}
	got := over(t, c, http.MethodPost, s.url+"/plain", bytes.NewReader(make([]byte, 1<<20)), "X-BWS-Token: "+s.goodToken())
	if !strings.HasSuffix(got.Body, "with 1048576 bytes") {
		t.Errorf("got %d %s", got.StatusCode, got.Body)
	}
	s.reached(t)
}

// Over HTTP/3, a WebSocket is an extended CONNECT, as it is over HTTP/2, for which there is TestHTTP2Frames.
func TestSocketOverHTTP3(t *testing.T) {
	covers(t, 25, 27, 28)
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go serveEcho(echo)
	s := startSecureSite(t, "", "\tbws\n\treverse_proxy /socket "+echo.Addr().String())
	c := s.versions(t)["HTTP/3.0"]
	open := func(token string) (*http.Response, *io.PipeWriter) {
		t.Helper()
		reader, writer := io.Pipe()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, s.url+"/socket", reader)
		if err != nil {
			t.Fatal(err)
		}
		r.Proto = "websocket"
		r.Header.Set("Sec-WebSocket-Version", "13")
		r.Header.Set("X-BWS-Token", token)
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close(); _ = writer.Close() })
		return response, writer
	}
	expired := s.service.Token(bwstest.TokenSpec{BCID: alice, NotBefore: time.Now().Add(-time.Hour)})
	for token, reason := range map[string]string{"": "no_token", "x": "malformed_token", expired: "expired_token"} {
		response, writer := open(token) //nolint:bodyclose // a cleanup closes it
		_ = writer.Close()
		body, _ := io.ReadAll(response.Body)
		if got := (&answer{response, string(body)}); got.reason() != reason {
			t.Errorf("got %d %s, want %s", got.StatusCode, body, reason)
		}
	}

	token := s.goodToken()
	response, writer := open(token) //nolint:bodyclose // a cleanup closes it
	if response.Proto != "HTTP/3.0" || response.StatusCode != http.StatusOK {
		t.Fatalf("got %s %s", response.Proto, response.Status)
	}
	echoed := make([]byte, len("ping"))
	_, err = writer.Write([]byte("ping"))
	if _, readErr := io.ReadFull(response.Body, echoed); err != nil || readErr != nil || string(echoed) != "ping" {
		t.Fatalf("the connection says %q, %v, %v", echoed, err, readErr)
	}
	post(t, "http://"+s.Admin+"/bws/revoke", `{"token":"`+token+`"}`, http.StatusOK)
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, response.Body); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the connection is open after its token was revoked")
	}
}
