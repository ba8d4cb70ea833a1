package integration

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// There is no way around a gate, however the request is written.
func TestNoWayAround(t *testing.T) {
	s := startSite(t, "", `	@private not path /public /public/*
	bws @private`)
	for _, path := range []string{"/public", "/public/page", "/public/a%2fb", "/public/?x=/admin"} {
		if s.raw(t, "GET "+path+" HTTP/1.1"); s.reached(t) == nil {
			t.Errorf("%s is gated", path)
		}
	}
	for name, requestLine := range map[string]string{
		"security case 15: dots":            "GET /public/../admin HTTP/1.1",
		"security case 15: encoded dots":    "GET /public/%2e%2e/admin HTTP/1.1",
		"security case 15: encoded slash":   "GET /public/..%2fadmin HTTP/1.1",
		"security case 15: two slashes":     "GET //admin HTTP/1.1",
		"security case 15: a dot":           "GET /./admin HTTP/1.1",
		"security case 15: a parameter":     "GET /admin;/public/ HTTP/1.1",
		"security case 15: NUL":             "GET /admin%00/public/ HTTP/1.1",
		"security case 15: a backslash":     `GET /public\..\admin HTTP/1.1`,
		"security case 16: upper case":      "GET /ADMIN HTTP/1.1",
		"security case 16: an escape":       "GET /%61dmin HTTP/1.1",
		"security case 19: a query":         "GET /admin?x=/public/ HTTP/1.1",
		"security case 23: OPTIONS":         "OPTIONS /admin HTTP/1.1",
		"security case 23: OPTIONS for all": "OPTIONS * HTTP/1.1",
		"security case 24: HEAD":            "HEAD /admin HTTP/1.1",
		"security case 27: CONNECT":         "CONNECT /admin HTTP/1.1",
		"another method":                    "PURGE /admin HTTP/1.1",
		"an absolute URL":                   "GET http://" + s.Addr + "/admin HTTP/1.1",
		"HTTP/1.0":                          "GET /admin HTTP/1.0",
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			got := s.raw(t, requestLine)
			if requests := s.app.take(); len(requests) > 0 {
				t.Errorf("the app is reached: %s %s", requests[0].Method, requests[0].RequestURI)
			}
			// Go's server answers for all by itself.
			if got.StatusCode < 400 && !strings.HasPrefix(requestLine, "OPTIONS *") {
				t.Errorf("got %d %s", got.StatusCode, got.Body)
			}
		})
	}
	for name, header := range map[string]string{
		"security case 20: X-Forwarded-Uri":           "X-Forwarded-Uri: /public",
		"security case 20: X-Original-URL":            "X-Original-URL: /public",
		"security case 20: X-Rewrite-URL":             "X-Rewrite-URL: /public",
		"security case 20: X-Forwarded-Method":        "X-Forwarded-Method: OPTIONS",
		"security case 21: X-HTTP-Method-Override":    "X-HTTP-Method-Override: OPTIONS",
		"security case 24: a range":                   "Range: bytes=0-0",
		"security case 99: X-Forwarded-Proto, Prefix": "X-Forwarded-Prefix: /public",
		"security case 100: a probe":                  "User-Agent: kube-probe/1.30",
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			s.checkKeptOut(t, s.raw(t, "GET /admin HTTP/1.1", header), "no_token")
		})
	}
	t.Run("security case 23: a preflight", func(t *testing.T) {
		covers(t)
		got := s.raw(t, "OPTIONS /admin HTTP/1.1", "Origin: https://other.example", "Access-Control-Request-Method: POST")
		s.checkKeptOut(t, got, "no_token")
	})
}

// Security case 29: what is denied is denied before its body is read, and what passes passes unchanged.
func TestBodies(t *testing.T) {
	covers(t, 29)
	s := startSite(t, "", "\tbws")
	t.Run("denied", func(t *testing.T) {
		got := s.raw(t, "POST / HTTP/1.1", "Content-Length: 1000000000", "Expect: 100-continue")
		s.checkKeptOut(t, got, "no_token")
	})
	t.Run("denied, chunked", func(t *testing.T) {
		s.checkKeptOut(t, s.raw(t, "POST / HTTP/1.1", "Transfer-Encoding: chunked"), "no_token")
	})
	t.Run("allowed", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr+"/", bytes.NewReader(make([]byte, 10<<20)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-BWS-Token", s.goodToken())
		r.Header.Set("Expect", "100-continue")
		if got := send(t, r); !strings.HasSuffix(got.Body, "with 10485760 bytes") {
			t.Errorf("got %d %s", got.StatusCode, got.Body)
		}
		s.reached(t)
	})
}

// Of bytes that two servers could read as one request or as two, the app gets at most the one with the token.
func TestSmuggledRequests(t *testing.T) {
	s := startSite(t, "", "\tbws")
	const second = "GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
	times := make(map[string]int) // by path; what breaks off within its body may reach the app late
	for name, test := range map[string]struct{ header, body string }{
		"security case 110: two lengths":                   {"Content-Length: 0\r\nContent-Length: 4\r\n", second},
		"security case 110: two lengths in a line":         {"Content-Length: 0, 4\r\n", second},
		"security case 110: a length with a sign":          {"Content-Length: +0\r\n", second},
		"security case 110: a length and chunks":           {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + second},
		"security case 110: chunks twice":                  {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" + second},
		"security case 110: an odd encoding":               {"Transfer-Encoding: \x0bchunked\r\nContent-Length: 0\r\n", second},
		"security case 110: a bare LF in an extension":     {"Transfer-Encoding: chunked\r\n", "0;x\n\r\n" + second},
		"security case 110: a bare LF in a later one":      {"Transfer-Encoding: chunked\r\n", "1;x\ny\r\nz\r\n0\r\n\r\n" + second},
		"security case 110: a space before the colon":      {"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n" + second},
		"security case 110: a folded line":                 {"Content-Length:\r\n 0\r\n", second},
		"security case 110: a token in what comes second":  {"Content-Length: 0\r\nContent-Length: 9\r\n", "X: y\r\nX-BWS-Token: x\r\n\r\n" + second},
		"security case 110: one after the other, honestly": {"Content-Length: 1\r\n", "x" + second},
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			conn, path := dial(t, s.Addr), "/first/"+hex.EncodeToString([]byte(name))
			_, _ = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: "+s.Addr+"\r\nX-BWS-Token: "+s.goodToken()+"\r\n"+test.header+"\r\n"+test.body+
				"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
			for _, r := range s.app.take() {
				if times[r.URL.Path]++; !strings.HasPrefix(r.URL.Path, "/first/") || times[r.URL.Path] > 1 {
					t.Errorf("the app is reached: %s", r.URL.Path)
				}
			}
		})
	}
}

// Security case 25: a connection that is to become something else is judged before it does.
func TestUpgrades(t *testing.T) {
	covers(t, 25)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go serveEcho(echo)
	s := startSite(t, "", "\tbws\n\treverse_proxy /socket "+echo.Addr().String())
	upgrade := []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="}

	expired := s.service.Token(bwstest.TokenSpec{BCID: alice, NotBefore: time.Now().Add(-time.Hour)})
	for token, reason := range map[string]string{"": "no_token", "x": "malformed_token", expired: "expired_token"} {
		s.checkKeptOut(t, s.raw(t, "GET /socket HTTP/1.1", append(upgrade, "X-BWS-Token: "+token)...), reason)
	}

	conn := dial(t, s.Addr)
	fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nX-BWS-Token: %s\r\n%s\r\n\r\nping", s.Addr, s.goodToken(), strings.Join(upgrade, "\r\n"))
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %s", response.Status)
	}
	got := make([]byte, len("ping"))
	if _, err := io.ReadFull(reader, got); err != nil || string(got) != "ping" {
		t.Errorf("the connection says %q, %v", got, err)
	}
	if header := s.service.LastRequest("/result").Header; header.Get("Upgrade") != "" || header.Get("Sec-WebSocket-Key") != "" {
		t.Errorf("BWS gets %q", header)
	}
}

// serveEcho is an app that agrees to any upgrade and repeats what it then gets.
func serveEcho(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			reader := bufio.NewReader(conn)
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = io.Copy(conn, reader)
		}()
	}
}

// Security case 27: the same over HTTP/2.
func TestHTTP2(t *testing.T) {
	covers(t, 27)
	s := startSite(t, "\t\tprotocols h1 h2c", "\tbws")
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	h2 := &http.Client{Timeout: 30 * time.Second, Transport: transport}
	defer h2.CloseIdleConnections()
	for token, want := range map[string]int{"": http.StatusUnauthorized, s.goodToken(): http.StatusOK} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodConnect} {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr+"/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-BWS-Token", token)
			response, err := h2.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.ProtoMajor != 2 || response.StatusCode != want && method != http.MethodConnect {
				t.Errorf("%s with %q: got %s %s, want %d", method, token, response.Proto, response.Status, want)
			}
			if reached := s.app.take(); token == "" && len(reached) > 0 {
				t.Errorf("%s reaches the app without a token", method)
			}
		}
	}
}
