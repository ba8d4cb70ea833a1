package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	herd      = 256
	herdDelay = 100 * time.Millisecond
	unknown   = 1000
)

// probe looks at what happens when requests come all at once, and when BWS is in trouble.
func probe(r *report, c *caddy, s *stubs, each time.Duration) error {
	r.title(fmt.Sprintf("%d requests with one token at once, BWS taking %s", herd, herdDelay))
	for _, one := range []struct {
		name   string
		site   site
		status int
		before func(token string) error
	}{
		{"a token that BWS has not been asked about", herdSite, http.StatusOK, nil},
		{"a token whose result has just ceased to be remembered", expiringSite, http.StatusOK, func(token string) error {
			_, err := get(expiringSite.port(), token)
			time.Sleep(1100 * time.Millisecond)
			return err
		}},
		{"a token with which nobody has done anything yet", herdSite, http.StatusNoContent, nil},
		{"a token about which BWS fails", herdSite, http.StatusInternalServerError, nil},
	} {
		calls, err := stampede(s, one.site, one.status, one.before)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		r.line("%s: %d calls to BWS", one.name, calls)
	}

	r.title("BWS in trouble")
	for _, one := range []struct {
		name string
		site site
		do   func() (release func())
	}{
		{"the breaker open", outageSite, func() func() {
			for range 10 {
				_, _ = get(outageSite.port(), s.token())
			}
			return func() {}
		}},
		{"`max_inflight` reached", busySite, func() func() {
			s.delay.Store(int64(4 * time.Second))
			go func() { _, _ = get(busySite.port(), s.token()) }()
			time.Sleep(100 * time.Millisecond)
			return func() { s.delay.Store(0) }
		}},
	} {
		if err := probeTrouble(r, c, s, one.name, one.site, one.do, min(each, 2*time.Second)); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
	}
	return probeFlood(r, s)
}

// stampede sends a herd and counts the calls that it costs.
func stampede(s *stubs, to site, status int, before func(token string) error) (int64, error) {
	token := s.token()
	if before != nil {
		if err := before(token); err != nil {
			return 0, err
		}
	}
	s.status.Store(int64(status))
	s.delay.Store(int64(herdDelay))
	defer func() { s.status.Store(http.StatusOK); s.delay.Store(0) }()
	calls := s.calls.Load()
	var wg sync.WaitGroup
	failures := make([]error, herd)
	for i := range herd {
		wg.Go(func() { _, failures[i] = get(to.port(), token) })
	}
	wg.Wait()
	return s.calls.Load() - calls, errors.Join(failures...)
}

// probeTrouble measures how fast requests are turned away, and that none of them leaves anything behind.
func probeTrouble(r *report, c *caddy, s *stubs, name string, to site, begin func() func(), each time.Duration) error {
	release := begin()
	defer release()
	before, err := c.goroutines()
	if err != nil {
		return err
	}
	l, err := wrk(to.port(), cookie(s.token()), single, each)
	if err != nil {
		return err
	}
	if l.refused != l.requests {
		return fmt.Errorf("%d of %d requests passed", l.requests-l.refused, l.requests)
	}
	after, err := c.goroutines()
	if err != nil {
		return err
	}
	r.line("%s: %d requests denied one after the other, p50 %.2f ms, p99 %.2f ms; goroutines before %d, after %d",
		name, l.refused, milliseconds(l.p50), milliseconds(l.p99), before, after)
	return nil
}

// probeFlood sends tokens that are well-formed and unknown, each of them once.
func probeFlood(r *report, s *stubs) error {
	s.status.Store(http.StatusBadRequest)
	defer s.status.Store(http.StatusOK)
	calls := s.calls.Load()
	for range unknown {
		if status, err := get(floodSite.port(), s.token()); err != nil || status == http.StatusOK {
			return fmt.Errorf("status %d, %w", status, err)
		}
	}
	r.line("%d unknown tokens from one address, with a `client_rate` of 60 in 1m: %d calls to BWS", unknown, s.calls.Load()-calls)
	return nil
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: herd}, Timeout: time.Minute}

// get sends one request, and returns the status of its answer.
func get(port int, token string) (int, error) {
	request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(port)+"/", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("X-Bws-Token", token)
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Body.Close()
}
