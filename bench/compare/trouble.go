package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// troubleTime is less than a breaker waits before it tries again, and less than a call to BWS may take.
	troubleTime = 3 * time.Second
	unknown     = 1000
)

// trouble measures how fast requests are turned away when BWS cannot be asked, and that none of them leaves anything behind.
func (l *lab) trouble(ctx context.Context, r *report) error {
	r.title("BWS in trouble, requests one after the other")
	r.header("", "answer", "requests", "p50, ms", "p99, ms", "BWS calls", "goroutines before", "after")
	for _, one := range []struct {
		name            string
		service, answer int
		begin           func(port int) error
	}{
		{"breaker open", brokenService, http.StatusServiceUnavailable, func(port int) error { return l.fail(ctx, port) }},
		{"`max_inflight` reached", busyService, http.StatusServiceUnavailable, func(port int) error { return l.occupy(ctx, port) }},
		{"`client_rate` reached", exhaustedService, http.StatusTooManyRequests, func(port int) error {
			return want(ctx, port, inCookie(l.stubs.token()), http.StatusOK)
		}},
	} {
		port, headers := portOfService(one.service), inCookie(l.stubs.token())
		if err := one.begin(port); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		if err := want(ctx, port, headers, one.answer); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		calls := l.stubs.calls.Load()
		before, err := goroutines(ctx)
		if err != nil {
			return err
		}
		done, err := wrk(ctx, port, headers, single, troubleTime)
		if err != nil {
			return err
		}
		after, err := goroutines(ctx)
		if err != nil {
			return err
		}
		if done.refused != done.requests || done.failed > 0 {
			return fmt.Errorf("%s: of %d requests, %d were refused and %d failed", one.name, done.requests, done.refused, done.failed)
		}
		r.row(one.name, one.answer, done.requests, fmt.Sprintf("%.2f", milliseconds(done.p50)), fmt.Sprintf("%.2f", milliseconds(done.p99)),
			l.stubs.calls.Load()-calls, before, after)
		l.stubs.behave(http.StatusOK, 0)
	}
	return l.flood(ctx, r)
}

// fail has BWS fail until the breaker opens.
func (l *lab) fail(ctx context.Context, port int) error {
	l.stubs.behave(http.StatusInternalServerError, 0)
	for range 10 {
		if err := want(ctx, port, inCookie(l.stubs.token()), http.StatusServiceUnavailable); err != nil {
			return err
		}
	}
	return nil
}

// occupy has BWS take its time for the only call there may be at once.
func (l *lab) occupy(ctx context.Context, port int) error {
	l.stubs.behave(http.StatusOK, troubleTime+time.Second)
	calls := l.stubs.calls.Load()
	go func() { _, _ = get(ctx, port, inCookie(l.stubs.token())) }()
	for range 100 {
		if l.stubs.calls.Load() > calls {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("the call that is to last does not reach BWS")
}

// flood sends tokens that are well-formed and unknown, each of them once, from the address of somebody whose token is good.
func (l *lab) flood(ctx context.Context, r *report) error {
	port, good := portOfService(floodedService), inCookie(l.stubs.token())
	calls, answers, began := l.stubs.calls.Load(), make(map[int]int), time.Now()
	if err := want(ctx, port, good, http.StatusOK); err != nil {
		return err
	}
	l.stubs.behave(http.StatusBadRequest, 0)
	for range unknown {
		status, err := get(ctx, port, inCookie(l.stubs.token()))
		if err != nil {
			return err
		}
		answers[status]++
	}
	l.stubs.behave(http.StatusOK, 0)
	if answers[http.StatusUnauthorized]+answers[http.StatusTooManyRequests] != unknown {
		return fmt.Errorf("the answers to the flood are %v", answers)
	}
	if err := want(ctx, port, good, http.StatusOK); err != nil {
		return fmt.Errorf("after the flood, for a token that was accepted before: %w", err)
	}
	fmt.Fprintf(&r.text, "\nA flood from one address, of a token that is good and then of %d unknown ones within %s: %d calls to BWS, with\n"+
		"the `client_rate` of 60 in a minute. The good one still passes.\n",
		unknown, time.Since(began).Round(time.Second/10), l.stubs.calls.Load()-calls)
	return nil
}
