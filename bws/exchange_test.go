package bws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRedirectIsNotFollowed(t *testing.T) {
	var visits atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		answer(200, "application/json", identified)(w, r)
	}))
	defer other.Close()
	for _, status := range []int{300, 301, 302, 303, 305, 307, 308} {
		for name, location := range map[string]string{
			"another port": other.URL + "/", "the same host": "/extension/result", "nowhere": "http://[" + serverBytes, "": "",
		} {
			t.Run(fmt.Sprintf("case 74: %d to %s", status, name), func(t *testing.T) {
				var calls atomic.Int32
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					calls.Add(1)
					w.Header().Set("Location", location)
					answer(status, "application/json", identified)(w, r)
				}))
				defer server.Close()
				_, err := newTestClient(t, server.URL, 0).Result(t.Context(), testToken)
				if e := wantError(t, err, ErrInvalidResponse); e.Status != status || e.Connect {
					t.Errorf("got %+v", e)
				}
				if calls.Load() != 1 {
					t.Errorf("the service was called %d times", calls.Load())
				}
			})
		}
	}
	if visits.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestResultStatus(t *testing.T) {
	kinds := map[int]error{
		204: ErrNoResult,
		400: ErrTokenRejected,
		401: ErrUnauthorized, 403: ErrUnauthorized,
		429: ErrUnavailable, 500: ErrUnavailable, 501: ErrUnavailable, 502: ErrUnavailable, 503: ErrUnavailable, 504: ErrUnavailable,
		599: ErrUnavailable,
		201: ErrInvalidResponse, 202: ErrInvalidResponse, 203: ErrInvalidResponse, 205: ErrInvalidResponse, 206: ErrInvalidResponse,
		226: ErrInvalidResponse, 304: ErrInvalidResponse, 402: ErrInvalidResponse, 404: ErrInvalidResponse, 405: ErrInvalidResponse,
		407: ErrInvalidResponse, 408: ErrInvalidResponse, 410: ErrInvalidResponse, 418: ErrInvalidResponse, 431: ErrInvalidResponse,
		600: ErrInvalidResponse, 999: ErrInvalidResponse,
	}
	for status, kind := range kinds {
		for name, body := range map[string]string{
			"a result": identified, "a message": `{"Message":"` + serverBytes + `"}`, "no body": "",
		} {
			t.Run(fmt.Sprintf("case 88: %d with %s", status, name), func(t *testing.T) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("WWW-Authenticate", "Basic realm="+serverBytes) // case 89
					answer(status, "application/json", body)(w, r)
				}))
				defer server.Close()
				got, err := newTestClient(t, server.URL, 0).Result(t.Context(), testToken)
				if e := wantError(t, err, kind); e.Status != status || e.Connect || e.API != "result" {
					t.Errorf("got %+v", e)
				}
				if got.Success {
					t.Error("an error, and yet a success")
				}
			})
		}
	}
}

func TestContentType(t *testing.T) {
	for name, contentType := range map[string][]string{
		"case 78: HTML":            {"text/html; charset=utf-8"},
		"case 78: plain text":      {"text/plain"},
		"case 78: missing":         {},
		"case 78: empty":           {""},
		"case 78: twice":           {"application/json", "text/html"},
		"case 78: list":            {"application/json, text/html"},
		"case 78: prefix":          {"application/jsonp"},
		"case 78: problem":         {"application/problem+json"},
		"case 78: other charset":   {"application/json; charset=utf-16"},
		"case 78: charset twice":   {"application/json; charset=utf-8; charset=utf-7"},
		"case 78: malformed":       {"application/json;" + serverBytes},
		"case 78: malformed value": {"application/json; charset=\"" + serverBytes},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = contentType
				if len(contentType) == 0 {
					w.Header()["Content-Type"] = nil // or else Go guesses
				}
				_, _ = io.WriteString(w, identified)
			}))
			defer server.Close()
			_, err := newTestClient(t, server.URL, 0).Result(t.Context(), testToken)
			if e := wantError(t, err, ErrInvalidResponse); e.Status != 200 {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestContext(t *testing.T) {
	silent := rawServer(t, silence(""))
	t.Run("canceled while waiting", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		_, err := newTestClient(t, silent, 0).Result(ctx, testToken)
		if e := wantError(t, err, context.Canceled); errors.Is(err, ErrTimeout) || e.Status != 0 {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("canceled in the body", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		url := rawServer(t, func(conn net.Conn) {
			time.AfterFunc(10*time.Millisecond, cancel)
			silence("HTTP/1.1 200 OK\r\nContent-Type: text/json\r\nContent-Length: 9\r\n\r\n{")(conn)
		})
		_, err := newTestClient(t, url, 0).Result(ctx, testToken)
		wantError(t, err, context.Canceled)
	})
	t.Run("canceled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newTestClient(t, silent, 0).Result(ctx, testToken)
		wantError(t, err, context.Canceled)
	})
	t.Run("deadline of the caller", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := newTestClient(t, silent, 0).Result(ctx, testToken)
		wantError(t, err, ErrTimeout)
	})
}

// TestConnectionIsReused makes sure that a call leaves its connection fit for the next, whatever the answer.
func TestConnectionIsReused(t *testing.T) {
	var conns, calls atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch calls.Add(1) % 5 {
		case 0:
			answer(200, "application/json", identified)(w, r)
		case 1:
			answer(400, "application/json", `{"Message":"no"}`)(w, r)
		case 2:
			answer(503, "text/html", strings.Repeat("<p>", 1000))(w, r)
		case 3:
			answer(200, "text/html", strings.Repeat("<p>", 1000))(w, r)
		case 4:
			w.WriteHeader(204)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := newTestClient(t, server.URL, 0)
	for range 10 {
		_, _ = client.Result(t.Context(), testToken)
	}
	if conns.Load() != 1 || calls.Load() != 10 {
		t.Errorf("%d connections for %d calls, want 1 for 10", conns.Load(), calls.Load())
	}
}

func TestClosedConnectionIsReplaced(t *testing.T) {
	server := httptest.NewServer(answer(200, "application/json", identified))
	defer server.Close()
	client := newTestClient(t, server.URL, 0)
	for range 10 {
		if _, err := client.Result(t.Context(), testToken); err != nil {
			t.Fatalf("case 96: %v", err)
		}
		server.CloseClientConnections()
	}
}

func TestGoAwayIsTransparent(t *testing.T) {
	var protocol atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol.Store(r.Proto)
		w.Header().Set("Connection", "close") // makes Go's HTTP/2 server send GOAWAY
		answer(200, "application/json", identified)(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := tlsClient(t, server, 0)
	for range 5 {
		if _, err := client.Result(t.Context(), testToken); err != nil {
			t.Fatalf("case 96: %v", err)
		}
	}
	if protocol.Load() != "HTTP/2.0" {
		t.Errorf("case 96: spoke %v", protocol.Load())
	}
}

// TestStaleConnection makes sure that Stale is said of calls that break off without an answer if the connection had served others
// before, and only then. It takes HTTP/2: with HTTP/1.1 Go repeats such calls by itself.
func TestStaleConnection(t *testing.T) {
	var breaks atomic.Bool
	var server *httptest.Server
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !breaks.Load() {
			answer(200, "application/json", identified)(w, r)
			return
		}
		go server.CloseClientConnections()
		<-r.Context().Done()
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, used := range []bool{false, true} {
		client := tlsClient(t, server, 0)
		breaks.Store(!used)
		if used {
			if _, err := client.Result(t.Context(), testToken); err != nil {
				t.Fatal(err)
			}
			breaks.Store(true)
		}
		_, err := client.Result(t.Context(), testToken)
		if e := wantError(t, err, ErrUnavailable); e.Stale != used || e.Connect {
			t.Errorf("used before: %v: got %+v", used, e)
		}
	}
}
