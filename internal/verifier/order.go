package verifier

import (
	"context"
	"net/netip"

	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// Order is a request's wish for a new token.
type Order struct {
	bws.TokenRequest
	// Client is the address that causes the call.
	Client netip.Addr
	// Logger gets the faults of the service.
	Logger *zap.Logger
}

// Order asks the service for a new token, within the limits for questions about tokens. The outcome is None if there is a token;
// any other says why there is none. Only its own deadline ends it, not ctx: the breaker must not learn from clients that leave.
func (v *Verifier) Order(ctx context.Context, o *Order) (string, evidence.Outcome) {
	if v.breaker.RemainingDelay() == 0 && !v.clients.allow(o.Client) {
		v.Observer.RateLimited()
		return "", evidence.RateLimited
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.Timeout)
	defer cancel()
	var token string
	_, err := v.through(ctx, APIToken, func(ctx context.Context) (result bws.OperationResult, err error) {
		token, err = v.Client.Token(ctx, o.TokenRequest)
		return result, err
	})
	outcome := evidence.None
	if err != nil {
		token, outcome = "", v.outcome(err, o.Logger)
	}
	v.notice(outcome)
	return token, outcome
}
