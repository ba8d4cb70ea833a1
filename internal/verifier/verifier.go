// Package verifier turns a token into evidence by asking the service.
package verifier

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// complaintInterval is how often refused credentials are logged: every request meets them until somebody mends them.
const complaintInterval = time.Minute

// Verifier asks one service about tokens.
type Verifier struct {
	client *bws.Client
	logger *zap.Logger
	now    func() time.Time

	nextComplaint atomic.Int64
}

// New returns a verifier that asks through client, logs faults of the service to logger, and takes the time from now.
func New(client *bws.Client, logger *zap.Logger, now func() time.Time) *Verifier {
	return &Verifier{client: client, logger: logger, now: now}
}

// Verify asks the service what came of the token. It always returns evidence: a fault is evidence that allows nothing.
func (v *Verifier) Verify(ctx context.Context, token string, claims *bws.UnverifiedClaims) *evidence.Evidence {
	result, err := v.client.Result(ctx, token)
	if err != nil {
		return evidence.OfClaims(v.outcome(err), claims)
	}
	return evidence.OfResult(&result, claims, v.now())
}

// outcome classifies what the client reports in place of a result, and logs what is the service's fault or ours.
func (v *Verifier) outcome(err error) evidence.Outcome {
	switch {
	case errors.Is(err, bws.ErrNoResult):
		return evidence.Pending
	case errors.Is(err, bws.ErrTokenRejected):
		return evidence.Rejected
	case errors.Is(err, context.Canceled):
		return evidence.Unavailable
	case errors.Is(err, bws.ErrUnauthorized):
		v.complain(err)
		return evidence.Misconfigured
	}
	v.logger.Warn("service fault", zap.Error(err))
	switch {
	case errors.Is(err, bws.ErrTimeout):
		return evidence.TimedOut
	case errors.Is(err, bws.ErrUnavailable):
		return evidence.Unavailable
	}
	return evidence.Invalid
}

func (v *Verifier) complain(err error) {
	now := v.now()
	next := v.nextComplaint.Load()
	if now.UnixNano() < next || !v.nextComplaint.CompareAndSwap(next, now.Add(complaintInterval).UnixNano()) {
		return
	}
	v.logger.Error("the service refuses the credentials; check app_id and app_secret", zap.Error(err))
}
