package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

const (
	nodes        = 3
	reloadEvery  = 5 * time.Second
	killEvery    = 30 * time.Second
	downFor      = 3 * time.Second
	outageEvery  = 20 * time.Second
	outageFor    = 3 * time.Second
	breakerDelay = 5 * time.Second
)

var (
	alice = bws.BCID{Storage: "bioid", Partition: 9876, Class: 1}
	bob   = bws.BCID{Storage: "bioid", Partition: 9876, Class: 2}
)

// soak is a cluster, what is behind it, and what is known of it.
type soak struct {
	dir, binary string
	service     *bwstest.Service
	bws, app    *httptest.Server
	nodes       []*node
	verdicts    *verdicts
	causes      causes
	figures     *figures
	work        sync.WaitGroup
	// outage is in which of the ways below BWS fails, 0 if it does not.
	outage atomic.Int32
}

func newSoak(dir, binary string) *soak {
	s := &soak{dir: dir, binary: binary, service: bwstest.New(bwstest.Config{}), verdicts: newVerdicts(), figures: newFigures()}
	s.service.Enroll(alice)
	s.service.Enroll(bob)
	s.bws = httptest.NewServer(http.HandlerFunc(s.serveBWS))
	s.app = httptest.NewServer(http.HandlerFunc(s.serveApp))
	return s
}

func (s *soak) start() error {
	for i := range nodes {
		n := &node{soak: s, name: fmt.Sprint(i + 1)}
		if err := n.start(); err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	return nil
}

func (s *soak) stop() {
	for _, n := range s.nodes {
		n.stop()
	}
	s.bws.CloseClientConnections()
	s.bws.Close()
	s.app.CloseClientConnections()
	s.app.Close()
}

// repeat does something again and again until the time is up.
func (s *soak) repeat(ctx context.Context, pause time.Duration, do func()) {
	s.work.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
				do()
			}
		}
	})
}

// misbehave lets things go wrong.
func (s *soak) misbehave(ctx context.Context) {
	s.repeat(ctx, outageEvery, func() {
		s.outage.Store(1 + rand.Int32N(outages))
		end := s.causes.begin(causeOutage, "")
		pause(ctx, outageFor)
		s.outage.Store(0)
		end(breakerDelay + 3*time.Second) // the breaker probes, and a call may have begun before
	})
	s.repeat(ctx, reloadEvery, func() {
		n := s.nodes[rand.N(nodes)]
		if !n.down.Load() {
			end := s.causes.begin(causeReload, n.name)
			if err := n.reload(ctx); err != nil && !n.down.Load() {
				s.verdicts.fail("node %s does not reload: %v", n.name, err)
			}
			end(2 * time.Second)
		}
	})
	s.repeat(ctx, killEvery, func() {
		n := s.nodes[nodes-1] // the others are for seeing what grows
		n.down.Store(true)
		end := s.causes.begin(causeKill, n.name)
		n.kill()
		pause(ctx, downFor)
		if err := n.run(); err != nil {
			s.verdicts.fail("node %s does not start again: %v", n.name, err)
		}
		n.down.Store(false)
		end(3 * time.Second)
	})
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// outages is in how many ways BWS fails.
const outages = 4

func (s *soak) serveBWS(w http.ResponseWriter, r *http.Request) {
	switch s.outage.Load() {
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
	case 2:
		w.WriteHeader(http.StatusServiceUnavailable)
	case 3:
		pause(r.Context(), 3*time.Second) // longer than the timeout
	case 4:
		panic(http.ErrAbortHandler) // the connection ends
	default:
		s.service.ServeHTTP(w, r)
	}
}
