package integration

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// streamingApp speaks without an end: events over HTTP, and whatever comes in over an upgraded connection.
func streamingApp(t *testing.T) *httptest.Server {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_, _ = io.Copy(conn, rw)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	}))
	t.Cleanup(app.Close)
	return app
}

// openStream sends a request with a credential, and returns the connection once the stream has begun.
func openStream(t *testing.T, addr, headers string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := dial(t, addr)
	_, _ = conn.Write(crlf("GET / HTTP/1.1\nHost: " + addr + "\n" + headers + "\n\n"))
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodGet}) //nolint:bodyclose // it is the stream
	if err != nil || response.StatusCode != http.StatusOK && response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", response, err)
	}
	return conn, reader
}

// checkEnds waits for the other side to end the connection, and reads what is sent meanwhile.
func checkEnds(t *testing.T, conn net.Conn, reader *bufio.Reader) {
	t.Helper()
	const limit = 20 * time.Second // nodes look for revocations every 5 s, and the machine may be busy
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(limit))
	_, err := io.Copy(io.Discard, reader)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Fatalf("the stream is open after %s", limit)
	}
	t.Logf("ended after %s", time.Since(began))
}

// Security case 28, through a proxy: whoever is revoked, or whose evidence has become too old, hears no more.
func TestStreamsEndWithTheirEvidence(t *testing.T) {
	covers(t, 28)
	const echo = "Connection: Upgrade\nUpgrade: echo\n"
	for name, test := range map[string]struct {
		gate, headers string
		revoked       bool
	}{
		"upgraded, revoked": {"bws {\nsession 30m\n}", echo, true},
		"events, revoked":   {"bws {\nsession 30m\n}", "", true},
		"upgraded, too old": {"bws {\nmax_age 5s\n}", echo, false},
		"events, too old":   {"bws {\nmax_age 5s\n}", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, app := bwstest.NewServer(t, bwstest.Config{}), streamingApp(t)
			c := startCaddy(t, serviceOption("", service.URL), "{addr} {\n"+test.gate+"\nreverse_proxy "+app.Listener.Addr().String()+"\n}")
			token := goodToken(service)
			conn, reader := openStream(t, c.Addr, test.headers+"X-BWS-Token: "+token)
			if test.headers != "" {
				_, _ = io.WriteString(conn, "hello\n")
				if line, err := reader.ReadString('\n'); line != "hello\n" {
					t.Fatalf("got %q, %v", line, err)
				}
			}
			if test.revoked {
				post(t, "http://"+c.Admin+"/bws/revoke", `{"token":"`+token+`"}`, http.StatusOK)
			}
			checkEnds(t, conn, reader)
			c.waitForLog(`"msg":"stream ended"`)
		})
	}
}
