package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/caddy-bws/caddy-bws/bws"
)

const (
	// breakAfter is how many calls in a row must fail before the service counts as down.
	breakAfter = 5
	// probeAfter is how long a service that is down is left alone before one call tries again.
	probeAfter = 5 * time.Second
	// A call is repeated once, after a random time, so that calls that fail together are not repeated together.
	minRetryDelay = 50 * time.Millisecond
	maxRetryDelay = 150 * time.Millisecond
)

// newExecutor returns what calls to the service go through. From the outside in: a limit on how many there are at once, so that the
// breaker hears nothing of calls beyond it; one retry; and a breaker that sees each try.
func newExecutor(c *Config) (circuitbreaker.CircuitBreaker[bws.OperationResult], failsafe.Executor[bws.OperationResult]) {
	breaker := circuitbreaker.NewBuilder[bws.OperationResult]().
		HandleIf(func(_ bws.OperationResult, err error) bool { return isOutage(err) }).
		WithFailureThreshold(breakAfter).
		WithSuccessThreshold(1).
		WithDelay(probeAfter).
		OnStateChanged(func(change circuitbreaker.StateChangedEvent) {
			switch {
			case change.OldState == circuitbreaker.ClosedState:
				c.Observer.Down()
			case change.NewState == circuitbreaker.ClosedState:
				c.Observer.Up()
			}
		}).
		Build()
	retry := retrypolicy.NewBuilder[bws.OperationResult]().
		// Nobody should wait for a retry that the breaker would refuse.
		HandleIf(func(_ bws.OperationResult, err error) bool { return isPassing(err) && !breaker.IsOpen() }).
		WithMaxRetries(1).
		WithRandomDelay(minRetryDelay, maxRetryDelay).
		ReturnLastFailure().
		Build()
	limit := bulkhead.New[bws.OperationResult](uint(c.MaxInflight))
	return breaker, failsafe.With(limit, retry, breaker)
}

// call asks the service for a result, if the breaker and the limit let it.
func (v *Verifier) call(ctx context.Context, token string) (bws.OperationResult, error) {
	return v.through(ctx, APIResult, func(ctx context.Context) (bws.OperationResult, error) { return v.Client.Result(ctx, token) })
}

// through makes a call to the service, if the breaker and the limit let it.
func (v *Verifier) through(
	ctx context.Context, api API, call func(ctx context.Context) (bws.OperationResult, error),
) (bws.OperationResult, error) {
	var fault error // of the last try
	result, err := v.executor.WithContext(ctx).GetWithExecution(
		//nolint:contextcheck // the execution has the context
		func(exec failsafe.Execution[bws.OperationResult]) (r bws.OperationResult, err error) {
			ctx, began := v.Observer.Calling(exec.Context(), api), v.Now()
			defer func() {
				// A panic that went through the executor would never give back the call's place in the limit and the breaker.
				if cause := recover(); cause != nil {
					err = &crash{cause, debug.Stack()}
				}
				fault = err
				v.Observer.Called(ctx, api, outcomeOf(err), v.Now().Sub(began))
			}()
			v.inflight.Add(1)
			defer v.inflight.Add(-1)
			return call(ctx)
		})
	// If the retry was not made, its error only says what kept it from being made: the fault of the first try says more.
	if err != nil && fault != nil {
		err = fault
	}
	return result, err
}

// crash is a panic that was caught where it would do harm.
type crash struct {
	cause any
	stack []byte
}

// Error says nothing of the cause, which may quote anything.
func (c *crash) Error() string { return fmt.Sprintf("panic with a %T", c.cause) }

// isOutage reports whether a call failed in a way that says something about the service's health. What a client can provoke
// does not: a 429 is the answer to a flood, and any other answer shows that the service is there.
func isOutage(err error) bool {
	failure, ok := errors.AsType[*bws.Error](err)
	return ok && (errors.Is(failure, bws.ErrTimeout) ||
		errors.Is(failure, bws.ErrUnavailable) && failure.Status != http.StatusTooManyRequests)
}

// isPassing reports whether a call failed in a way that another try may mend, and that is safe to try again.
func isPassing(err error) bool {
	failure, ok := errors.AsType[*bws.Error](err)
	if !ok || !errors.Is(failure, bws.ErrUnavailable) {
		return false
	}
	switch failure.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return failure.Connect || failure.Stale
}
