package caddybws

import (
	"context"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// watcher tells the rest of Caddy what a service's verifier does. Services that share a verifier share it, so that each call is
// counted once.
type watcher struct{}

// Calling begins a try.
func (watcher) Calling(ctx context.Context, _ verifier.API) context.Context { return ctx }

// Called counts a try.
func (watcher) Called(_ context.Context, api verifier.API, outcome evidence.Outcome, took time.Duration) {
	metrics.calls[api][outcome].Inc()
	metrics.callDurations[api].Observe(took.Seconds())
}

// RateLimited counts a refusal.
func (watcher) RateLimited() { metrics.rateLimited.Inc() }

// Down does nothing.
func (watcher) Down() {}

// Up does nothing.
func (watcher) Up() {}

// Interface guards
var _ verifier.Observer = watcher{}
