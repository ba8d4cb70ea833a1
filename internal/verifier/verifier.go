// Package verifier turns a token into evidence. It remembers answers for a short time, never asks the service about one token
// twice at once, and stays within its deadline and its limits whatever the service does.
package verifier

import (
	"context"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/monotonic"
)

// Config is what a verifier works with and within.
type Config struct {
	// Client asks the service.
	Client *bws.Client
	// Timeout bounds one question as a whole, a retry included.
	Timeout time.Duration
	// SuccessTTL is how long a successful result may be reused, FailureTTL the same for a failed result and a rejected token.
	// 0 is off.
	SuccessTTL, FailureTTL time.Duration
	// Size is how many tokens are remembered.
	Size int
	// MaxInflight is how many questions may be under way at once.
	MaxInflight int
	// ClientCalls is how many questions about unknown tokens a client may cause in a time of ClientPer.
	ClientCalls int
	ClientPer   time.Duration
	// Now is the time.
	Now func() time.Time
	// Observer hears of what the verifier does; default: nobody.
	Observer Observer
}

// Verifier asks one service about tokens. It is safe for concurrent use and outlives the configurations that share it.
type Verifier struct {
	Config

	clock    *monotonic.Clock
	known    *knownTokens
	clients  *clientLimits
	flights  singleflight.Group
	breaker  circuitbreaker.CircuitBreaker[bws.OperationResult]
	executor failsafe.Executor[bws.OperationResult]

	inflight      atomic.Int64
	refused       atomic.Bool
	nextComplaint atomic.Int64 // by clock
}

// Question is a request's wish to know what came of a token.
type Question struct {
	Token string
	// Key and Claims are those of Token.
	Key    Key
	Claims *bws.UnverifiedClaims
	// Client is the address that causes the question.
	Client netip.Addr
	// Afresh says that the service must be asked, whatever is remembered.
	Afresh bool
	// Logger gets the faults of the service.
	Logger *zap.Logger
}

// New returns a verifier. It asks nothing yet. Close it to end its goroutines.
func New(config Config) *Verifier {
	clock := monotonic.NewClock(config.Now)
	v := &Verifier{Config: config, clock: clock, known: newKnownTokens(&config, clock), clients: newClientLimits(&config)}
	if v.Observer == nil {
		v.Observer = nobody{}
	}
	v.breaker, v.executor = newExecutor(&v.Config)
	return v
}

// Close forgets everything and ends what runs in the background. Questions under way end with their own deadline.
func (v *Verifier) Close() {
	v.known.close()
	v.clients.close()
	v.Client.CloseIdleConnections()
}

// Recall returns the remembered evidence for a token, or nil if the service has to be asked. It never waits.
func (v *Verifier) Recall(key Key) *evidence.Evidence {
	return v.known.fresh(key)
}

// maxJoins is how often a request joins a question whose answer does not serve it before it takes that answer all the same.
const maxJoins = 3

// Verify asks the service what came of a token. Requests that ask about the same token at the same time share one question. It
// always returns evidence: a fault is evidence that allows nothing. ctx ends the waiting but not the question, for which others may
// wait.
func (v *Verifier) Verify(ctx context.Context, q *Question) *evidence.Evidence {
	var a answer
	for range maxJoins {
		select {
		case <-ctx.Done():
			return evidence.OfClaims(evidence.Unavailable, q.Claims)
		case result := <-v.flights.DoChan(string(q.Key[:]), func() (any, error) { return v.ask(ctx, q), nil }):
			a, _ = result.Val.(answer)
		}
		if q.contentWith(&a) {
			return a.evidence
		}
	}
	if q.tooOld(&a) {
		return evidence.OfClaims(evidence.Busy, q.Claims)
	}
	return a.evidence
}

// contentWith reports whether an answer serves this question. One that was asked for somebody else may not: it may come from memory,
// or be that their allowance is used up.
func (q *Question) contentWith(a *answer) bool {
	return !q.tooOld(a) && (a.evidence.Outcome != evidence.RateLimited || a.askedFor == q.Client)
}

// tooOld reports whether an answer comes from memory where the service must be asked.
func (q *Question) tooOld(a *answer) bool { return q.Afresh && a.evidence.Source == evidence.FromCache }

// Forget drops what is remembered of a token.
func (v *Verifier) Forget(key Key) { v.known.cache.Invalidate(key) }

// ForgetAll drops what is remembered of all tokens.
func (v *Verifier) ForgetAll() { v.known.cache.InvalidateAll() }

// answer is what a question came to, and for whom it was asked.
type answer struct {
	evidence *evidence.Evidence
	askedFor netip.Addr
}

// ask puts the question of the first of those who wait. Others may wait for it, so nothing but its own deadline ends it. No panic
// leaves it, because singleflight would raise it again where nobody can recover it.
func (v *Verifier) ask(ctx context.Context, q *Question) (a answer) {
	defer func() {
		if cause := recover(); cause != nil {
			a = answer{v.evidenceOf(nil, &crash{cause, debug.Stack()}, q), q.Client}
		}
	}()
	// Another question may have been answered since the request looked.
	if e := v.known.fresh(q.Key); e != nil && !q.Afresh {
		return answer{e, q.Client}
	}
	// While the breaker is open, a question causes no call, and costs nothing.
	if v.breaker.RemainingDelay() == 0 && !v.known.accepted(q.Key) && !v.clients.allow(q.Client) {
		v.Observer.RateLimited()
		return answer{evidence.OfClaims(evidence.RateLimited, q.Claims), q.Client}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.Timeout)
	defer cancel()
	result, err := v.call(ctx, q.Token)
	e := v.evidenceOf(&result, err, q)
	v.known.learn(q.Key, e)
	return answer{e, q.Client}
}

func (v *Verifier) evidenceOf(result *bws.OperationResult, err error, q *Question) *evidence.Evidence {
	var e *evidence.Evidence
	if err != nil {
		e = evidence.OfClaims(v.outcome(err, q.Logger), q.Claims)
	} else {
		e = evidence.OfResult(result, q.Claims, v.Now())
	}
	v.notice(e.Outcome)
	return e
}

// notice remembers whether the service accepts the credentials, if an outcome shows it.
func (v *Verifier) notice(outcome evidence.Outcome) {
	switch outcome {
	case evidence.None, evidence.Answered, evidence.Pending, evidence.Rejected:
		v.refused.Store(false)
	case evidence.Misconfigured:
		v.refused.Store(true)
	default: // it does not show
	}
}
