package verifier

import (
	"context"
	"errors"
	"net/http"
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
	// A call is repeated once, after a time that differs from one call to the next.
	minRetryDelay = 50 * time.Millisecond
	maxRetryDelay = 150 * time.Millisecond
)

// newExecutor returns what calls to the service go through: a limit on how many there are at once, of which the others know
// nothing; one retry; and a breaker that sees each try.
func newExecutor(maxInflight int) (circuitbreaker.CircuitBreaker[bws.OperationResult], failsafe.Executor[bws.OperationResult]) {
	breaker := circuitbreaker.NewBuilder[bws.OperationResult]().
		HandleIf(func(_ bws.OperationResult, err error) bool { return isOutage(err) }).
		WithFailureThreshold(breakAfter).
		WithSuccessThreshold(1).
		WithDelay(probeAfter).
		Build()
	retry := retrypolicy.NewBuilder[bws.OperationResult]().
		HandleIf(func(_ bws.OperationResult, err error) bool { return isPassing(err) }).
		WithMaxRetries(1).
		WithRandomDelay(minRetryDelay, maxRetryDelay).
		ReturnLastFailure().
		Build()
	limit := bulkhead.New[bws.OperationResult](uint(maxInflight)) //nolint:gosec // the configuration bounds it
	return breaker, failsafe.With(limit, retry, breaker)
}

// call asks the service, if the breaker and the limit let it.
func (v *Verifier) call(ctx context.Context, token string) (bws.OperationResult, error) {
	var crash any
	result, err := v.executor.WithContext(ctx).GetWithExecution(
		func(exec failsafe.Execution[bws.OperationResult]) (r bws.OperationResult, err error) {
			// A panic on its way through the executor would keep its place in the limit and in the breaker.
			defer func() {
				if crash = recover(); crash != nil {
					err = errCrashed
				}
			}()
			return v.Client.Result(exec.Context(), token)
		})
	if crash != nil {
		panic(crash)
	}
	return result, err
}

var errCrashed = errors.New("crashed")

// isOutage reports whether a call failed in a way that says something about the service's health. What a client can provoke
// does not: a 429 is the answer to a flood, and any other answer shows that the service is there.
func isOutage(err error) bool {
	failure, ok := errors.AsType[*bws.Error](err)
	return ok && (failure.Kind == bws.ErrTimeout ||
		failure.Kind == bws.ErrUnavailable && failure.Status != http.StatusTooManyRequests)
}

// isPassing reports whether a call failed in a way that another try may mend, and that is safe to try again.
func isPassing(err error) bool {
	failure, ok := errors.AsType[*bws.Error](err)
	if !ok || failure.Kind != bws.ErrUnavailable {
		return false
	}
	switch failure.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return failure.Connect
}
