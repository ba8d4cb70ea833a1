package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"
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

func listen(handler http.Handler) (listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return listener{}, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	return listener{l.Addr().String(), server}, nil
}

// stubs are BWS, the adapter for forward_auth, and the app.
type stubs struct {
	bws, adapter, app listener

	issuer *bwstest.Service
	calls  atomic.Int64
	// status and delay are how BWS answers, after how many nanoseconds.
	status, delay atomic.Int64
}

func startStubs() (*stubs, error) {
	s := &stubs{issuer: bwstest.New(bwstest.Config{})}
	s.status.Store(http.StatusOK)
	var err error
	if s.bws, err = listen(http.HandlerFunc(s.result)); err != nil {
		return nil, err
	}
	adapter, err := newAdapter(s.bws.addr)
	if err != nil {
		return nil, err
	}
	if s.adapter, err = listen(adapter); err != nil {
		return nil, err
	}
	s.app, err = listen(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	return s, err
}

func (s *stubs) close() {
	for _, l := range []listener{s.bws, s.adapter, s.app} {
		_ = l.server.Close()
	}
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

// adapter is what somebody writes today who wants forward_auth to ask BWS: it has no policy beyond Success, no limits and no
// breaker. Below /cached it remembers successes for as long as the benchmark takes.
type adapter struct {
	client *bws.Client
	cache  sync.Map
}

func newAdapter(endpoint string) (http.Handler, error) {
	client, err := bws.NewClient(bws.Config{
		Endpoint: "http://" + endpoint + "/extension", AppID: bwstest.AppID, AppSecret: bwstest.AppSecret,
	})
	if err != nil {
		return nil, err
	}
	a := &adapter{client: client}
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.ask)
	mux.HandleFunc("/cached", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("bws_token")
		if err == nil {
			if bcid, known := a.cache.Load(cookie.Value); known {
				w.Header().Set("X-Bws-Bcid", bcid.(string))
				return
			}
		}
		a.ask(w, r)
	})
	return mux, nil
}

func (a *adapter) ask(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie("bws_token")
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	result, err := a.client.Result(r.Context(), cookie.Value)
	if err != nil || !result.Success || result.Action != bws.Verification {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	a.cache.Store(cookie.Value, result.BCID.String())
	w.Header().Set("X-Bws-Bcid", result.BCID.String())
}
