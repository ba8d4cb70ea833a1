package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

const (
	herd      = 256
	herdDelay = 100 * time.Millisecond
)

// herds counts what it costs if all requests come at once.
func (l *lab) herds(ctx context.Context, r *report) error {
	r.title(fmt.Sprintf("%d requests with one token at once, BWS taking %d ms", herd, herdDelay.Milliseconds()))
	r.header("the token", "answer", "BWS calls")
	for _, one := range []struct {
		name string
		port int
		// status is what BWS answers, answer what the requests get.
		status, answer int
		expire         bool
	}{
		{"BWS has not been asked about it", portOfService(herdService), http.StatusOK, http.StatusOK, false},
		{"its result has just ceased to be remembered", portOfService(expiringService), http.StatusOK, http.StatusOK, true},
		{"nobody has done anything with it yet (204)", portOfService(herdService), http.StatusNoContent, http.StatusUnauthorized, false},
		{"BWS fails (500)", portOfService(herdService), http.StatusInternalServerError, http.StatusServiceUnavailable, false},
		{"as the first, for `forward_auth` to the adapter with a cache", portOf(adapterCached, static), http.StatusOK, http.StatusOK, false},
	} {
		headers := inCookie(l.stubs.token())
		if one.expire {
			if err := want(ctx, one.port, headers, http.StatusOK); err != nil {
				return err
			}
			time.Sleep(1100 * time.Millisecond)
		}
		// Connections are made first: that takes its time.
		if _, err := stampede(ctx, one.port, http.Header{}); err != nil {
			return err
		}
		l.stubs.behave(one.status, herdDelay)
		calls := l.stubs.calls.Load()
		answers, err := stampede(ctx, one.port, headers)
		l.stubs.behave(http.StatusOK, 0)
		if err != nil {
			return err
		}
		if answers[one.answer] != herd {
			return fmt.Errorf("herd, %s: the answers are %v instead of %d", one.name, answers, one.answer)
		}
		r.row(one.name, one.answer, l.stubs.calls.Load()-calls)
	}
	return l.rubbish(ctx, r)
}

// stampede sends a herd, and counts its answers by status.
func stampede(ctx context.Context, port int, headers http.Header) (map[int]int, error) {
	var wg sync.WaitGroup
	statuses, failures := make([]int, herd), make([]error, herd)
	for i := range herd {
		wg.Go(func() { statuses[i], failures[i] = get(ctx, port, headers) })
	}
	wg.Wait()
	answers := make(map[int]int)
	for _, status := range statuses {
		answers[status]++
	}
	return answers, errors.Join(failures...)
}

// rubbish counts the calls for tokens that need none.
func (l *lab) rubbish(ctx context.Context, r *report) error {
	calls := l.stubs.calls.Load()
	expired := bwstest.TokenSpec{BCID: person, NotBefore: time.Now().Add(-time.Hour)}
	foreign := bwstest.New(bwstest.Config{AppID: "another.app"}).Token(bwstest.TokenSpec{BCID: person})
	for _, token := range []string{"not-a-token", l.stubs.issuer.Token(expired), foreign} {
		answers, err := stampede(ctx, portOfService(herdService), inCookie(token))
		if err != nil {
			return err
		}
		if answers[http.StatusUnauthorized] != herd {
			return fmt.Errorf("the answers to a token that is no good are %v", answers)
		}
	}
	r.row("malformed, expired, or of another application", http.StatusUnauthorized, l.stubs.calls.Load()-calls)
	return nil
}
