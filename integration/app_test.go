package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// app is the legacy app behind the gate. It knows nothing of the gate and remembers what reached it.
type app struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
}

func newApp(t *testing.T) *app {
	t.Helper()
	return newAppThat(t, func(w http.ResponseWriter, r *http.Request, body string) {
		fmt.Fprintf(w, "app got %s %s with %d bytes", r.Method, r.URL.RequestURI(), len(body))
	})
}

// newAppThat is an app with answers of its own.
func newAppThat(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body string)) *app {
	t.Helper()
	a := new(app)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.requests = append(a.requests, r)
		a.mu.Unlock()
		answer(w, r, string(body))
	}))
	t.Cleanup(a.Close)
	return a
}

// take returns the requests that reached the app since the last call.
func (a *app) take() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	requests := a.requests
	a.requests = nil
	return requests
}

// answer is what a client saw.
type answer struct {
	*http.Response
	Body string
}

// reason is the reason in a problem+json, or "".
func (a *answer) reason() string {
	var problem struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal([]byte(a.Body), &problem)
	return problem.Reason
}

// do sends a request with headers given as "Name: value".
func do(t *testing.T, method, url string, headers ...string) *answer {
	t.Helper()
	got, err := ask(t.Context(), client, method, url, "", headers...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// ask sends a request with headers given as "Name: value". It may be called from any goroutine.
func ask(ctx context.Context, from *http.Client, method, url, body string, headers ...string) (*answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return exchange(from, r)
}

// post sends a body, and fails unless the answer has the status.
func post(t *testing.T, url, body string, status int) {
	t.Helper()
	got, err := ask(t.Context(), client, http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != status {
		t.Fatalf("got %d %s", got.StatusCode, got.Body)
	}
}

// send is [exchange] with the usual client.
func send(t *testing.T, r *http.Request) *answer {
	t.Helper()
	got, err := exchange(client, r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// exchange sends a request and reads the answer.
func exchange(from *http.Client, r *http.Request) (*answer, error) {
	response, err := from.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return &answer{response, string(body)}, err
}

// sendRaw sends bytes that Go's client would tidy up or refuse, with \n for line ends, and reads one answer.
func sendRaw(t *testing.T, addr, request string) *answer {
	t.Helper()
	conn := dial(t, addr)
	if _, err := conn.Write(crlf(request)); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return &answer{response, string(body)}
}

// crlf ends lines as HTTP does.
func crlf(text string) []byte { return []byte(strings.ReplaceAll(text, "\n", "\r\n")) }

// dial opens a connection that ends with the test, and on which nothing is waited for for ever.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}
