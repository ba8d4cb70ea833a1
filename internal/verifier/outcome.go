package verifier

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// complaintInterval is how often refused credentials are logged, though every request meets them until somebody mends them.
const complaintInterval = time.Minute

// outcomeOf says what outcome a call has that ended with err.
func outcomeOf(err error) evidence.Outcome {
	switch {
	case err == nil:
		return evidence.Answered
	case errors.Is(err, bws.ErrNoResult):
		return evidence.Pending
	case errors.Is(err, bws.ErrTokenRejected):
		return evidence.Rejected
	case errors.Is(err, bulkhead.ErrFull):
		return evidence.Busy
	case errors.Is(err, bws.ErrUnauthorized):
		return evidence.Misconfigured
	case errors.Is(err, bws.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return evidence.TimedOut
	case errors.Is(err, bws.ErrUnavailable), errors.Is(err, circuitbreaker.ErrOpen):
		return evidence.Unavailable
	}
	if _, ok := errors.AsType[*crash](err); ok {
		return evidence.Crashed
	}
	return evidence.Invalid
}

// outcome says the same, and logs what is the service's fault or ours. A call that the breaker refuses is not logged: the faults
// that opened the breaker have been.
func (v *Verifier) outcome(err error, logger *zap.Logger) evidence.Outcome {
	outcome := outcomeOf(err)
	switch outcome {
	case evidence.Misconfigured:
		v.complain(err, logger)
	case evidence.Crashed:
		c, _ := errors.AsType[*crash](err)
		logger.Error("asking the service panicked", zap.Error(c), zap.ByteString("stack", c.stack))
	case evidence.TimedOut, evidence.Unavailable, evidence.Invalid:
		if !errors.Is(err, circuitbreaker.ErrOpen) {
			logger.Warn("service fault", zap.Error(err), zap.Stringer("breaker", v.breaker.State()))
		}
	default: // nobody's fault
	}
	return outcome
}

// complain logs that the credentials are refused, unless that was logged a moment ago.
func (v *Verifier) complain(err error, logger *zap.Logger) {
	now, next := v.clock.NowNano(), v.nextComplaint.Load()
	if now < next || !v.nextComplaint.CompareAndSwap(next, now+int64(complaintInterval)) {
		return
	}
	logger.Error("the service refuses the credentials; check app_id and app_secret", zap.Error(err))
}
