package caddybws

import (
	"context"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// watcher tells the rest of Caddy what a verifier does. Services that share a verifier share it, so that each call is counted once.
type watcher struct{ verifier *verifier.Verifier }

// watched returns a verifier that is watched.
func watched(config verifier.Config) *verifier.Verifier {
	w := new(watcher)
	config.Observer = w
	w.verifier = verifier.New(config)
	return w.verifier
}

// Calling begins a try.
func (*watcher) Calling(ctx context.Context, _ verifier.API) context.Context { return ctx }

// Called counts a try.
func (*watcher) Called(_ context.Context, api verifier.API, outcome evidence.Outcome, took time.Duration) {
	metrics.calls[api][outcome].Inc()
	metrics.callDurations[api].Observe(took.Seconds())
}

// RateLimited counts a refusal.
func (*watcher) RateLimited() { metrics.rateLimited.Inc() }

// Down tells that a service has begun to be left alone.
func (w *watcher) Down() { w.emit(eventServiceDown) }

// Up tells that a service has answered again.
func (w *watcher) Up() { w.emit(eventServiceUp) }

// emit tells it of each service that is concerned.
func (w *watcher) emit(kind eventKind) {
	for _, s := range running() {
		if s.verifier == w.verifier {
			s.emit(kind)
		}
	}
}

// Interface guards
var _ verifier.Observer = (*watcher)(nil)
