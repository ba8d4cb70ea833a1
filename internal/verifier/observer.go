package verifier

import (
	"context"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// API is a part of the service's API.
type API string

// The parts that a verifier calls.
const (
	APIResult API = "result"
	APIToken  API = "token"
)

// Observer hears of what a verifier does. Many call its methods at the same time, and wait for them.
type Observer interface {
	// Calling begins each try to call the service. The try goes on with the context that it returns.
	Calling(ctx context.Context, api API) context.Context
	// Called ends what Calling has begun, with the same context. For a token that was delivered, outcome is Answered.
	Called(ctx context.Context, api API, outcome evidence.Outcome, took time.Duration)
	// RateLimited says that a client was refused a call that it would have caused.
	RateLimited()
	// Down says that the service has begun to be left alone, and Up that it has answered again since.
	Down()
	Up()
}

// nobody observes.
type nobody struct{}

func (nobody) Calling(ctx context.Context, _ API) context.Context           { return ctx }
func (nobody) Called(context.Context, API, evidence.Outcome, time.Duration) {}
func (nobody) RateLimited()                                                 {}
func (nobody) Down()                                                        {}
func (nobody) Up()                                                          {}

// Interface guards
var _ Observer = nobody{}
