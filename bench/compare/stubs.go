package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

var person = bws.BCID{Storage: "bws", Partition: 1, Class: 42}

// listener is one of the servers that Caddy talks to.
type listener struct {
	addr   string
	server *http.Server
}

func listen(handler http.HandlerFunc) (listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return listener{}, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	return listener{l.Addr().String(), server}, nil
}

// stubs are BWS and the app. The emulator makes the tokens, but does not answer: checking each of them as BWS does would take
// the core away from wrk.
type stubs struct {
	bws, app listener

	issuer *bwstest.Service
	calls  atomic.Int64
	// status and delay are how BWS answers, after how many nanoseconds.
	status, delay atomic.Int64
}

func startStubs() (s *stubs, err error) {
	s = &stubs{issuer: bwstest.New(bwstest.Config{})}
	s.behave(http.StatusOK, 0)
	if s.bws, err = listen(s.result); err != nil {
		return nil, err
	}
	s.app, err = listen(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	return s, err
}

func (s *stubs) close() {
	if s == nil {
		return
	}
	for _, l := range []listener{s.bws, s.app} {
		if l.server != nil {
			_ = l.server.Close()
		}
	}
}

// behave chooses how BWS answers from now on.
func (s *stubs) behave(status int, delay time.Duration) {
	s.status.Store(int64(status))
	s.delay.Store(int64(delay))
}

// token is a new one.
func (s *stubs) token() string { return s.issuer.Token(bwstest.TokenSpec{BCID: person}) }

// result answers GET /result, with as little work as possible.
func (s *stubs) result(w http.ResponseWriter, _ *http.Request) {
	s.calls.Add(1)
	if delay := s.delay.Load(); delay > 0 {
		time.Sleep(time.Duration(delay))
	}
	w.Header().Set("Content-Type", "application/json")
	if status := int(s.status.Load()); status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	fmt.Fprintf(w, `{"Action":"verification","BCID":%q,"Success":true}`, person)
}

// client keeps a connection open for each request of a herd.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: herd}, Timeout: time.Minute}

// exchange sends one request, and returns the status of its answer and the cookies it sets.
func exchange(ctx context.Context, port int, headers http.Header) (int, []*http.Cookie, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(port)+"/", nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header = headers
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Cookies(), response.Body.Close()
}

// get sends one request, and returns the status of its answer.
func get(ctx context.Context, port int, headers http.Header) (int, error) {
	status, _, err := exchange(ctx, port, headers)
	return status, err
}

// begin sends one request with a token, and returns the headers of those that have the session which that has begun.
func begin(ctx context.Context, port int, headers http.Header) (http.Header, error) {
	_, cookies, err := exchange(ctx, port, headers)
	if err != nil {
		return nil, err
	}
	if len(cookies) != 1 {
		return nil, fmt.Errorf("the answer on port %d sets %d cookies instead of one", port, len(cookies))
	}
	return withCookie(cookies[0].Name, cookies[0].Value), nil
}

// want sends one request, and says so if it is answered in another way than it should be.
func want(ctx context.Context, port int, headers http.Header, status int) error {
	got, err := get(ctx, port, headers)
	if err == nil && got != status {
		err = fmt.Errorf("the answer on port %d is %d instead of %d", port, got, status)
	}
	return err
}
