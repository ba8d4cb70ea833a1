package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"
)

// sample is one measurement of a row.
type sample struct {
	load
	// caddy is Caddy's time for a request.
	caddy time.Duration
	// calls is how often BWS was asked for a request.
	calls float64
	// generator is the part of their core that wrk and the stubs have used, busy the part that was used at all.
	generator, busy float64
	// others is the part of Caddy's core that something else has used.
	others float64
}

// measure takes the rows of a table in turn, round by round, so that a slow minute of the machine hits all of them.
func (l *lab) measure(ctx context.Context, r *report, t table, e effort) error {
	if t.short {
		e = effort{min(e.rounds, 3), min(e.each, 4*time.Second), min(e.warmUp, time.Second)}
	}
	l.stubs.behave(http.StatusOK, t.delay)
	defer l.stubs.behave(http.StatusOK, 0)
	samples := make([][]sample, len(t.rows))
	for round := range e.rounds {
		fmt.Fprintf(os.Stderr, "%s %s, round %d of %d\n", time.Now().Format(time.TimeOnly), t.title, round+1, e.rounds)
		for i, row := range t.rows {
			warmUp := e.warmUp
			if round > 0 {
				warmUp = 0
			}
			one, err := l.take(ctx, portOf(row, t.app), rows[row], warmUp, e.each)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", t.title, rows[row].name, err)
			}
			samples[i] = append(samples[i], one)
		}
	}
	r.table(t, samples)
	return nil
}

// take measures a row once, with a token of its own.
func (l *lab) take(ctx context.Context, port int, row row, warmUp, each time.Duration) (sample, error) {
	headers := row.headers(l.stubs.token())
	// From here on, whatever can remember the token does.
	if err := want(ctx, port, headers, http.StatusOK); err != nil {
		return sample{}, err
	}
	if row.keeps {
		var err error
		if headers, err = begin(ctx, port, headers); err != nil {
			return sample{}, err
		}
	}
	if warmUp > 0 {
		if _, err := wrk(ctx, port, headers, many, warmUp); err != nil {
			return sample{}, err
		}
	}
	before, err := l.read()
	if err != nil {
		return sample{}, err
	}
	done, err := wrk(ctx, port, headers, many, each)
	if err != nil {
		return sample{}, err
	}
	after, err := l.read()
	if err != nil {
		return sample{}, err
	}
	if done.refused > 0 || done.failed > 0 || done.requests == 0 {
		return sample{}, fmt.Errorf("of %d requests, %d were refused and %d failed", done.requests, done.refused, done.failed)
	}
	caddy := after.caddy - before.caddy
	first, second := after.cores[caddyCore].minus(before.cores[caddyCore]), after.cores[wrkCore].minus(before.cores[wrkCore])
	return sample{
		load:      done,
		caddy:     caddy / time.Duration(done.requests),
		calls:     float64(after.calls-before.calls) / float64(done.requests),
		generator: second.share(done.cpu + after.stubs - before.stubs),
		busy:      second.share(second.busy),
		others:    first.share(first.busy - caddy),
	}, nil
}
