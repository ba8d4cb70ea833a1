package caddybws

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// loginReturn is a browser's return from the camera page.
type loginReturn struct {
	url    *url.URL
	state  *loginState
	tokens []string
	// canceled is what the page says of itself, which proves nothing.
	canceled bool
}

// returned returns the return from a login that a request is, and nil if it is none: an app may have parameters of these names.
func (g *Gate) returned(q *inquiry) *loginReturn {
	u := askedURL(q.Request)
	if u.RawQuery == "" || q.Method != http.MethodGet && q.Method != http.MethodHead || !mayReturnTo(u) {
		return nil
	}
	state, ok := g.stateIn(q, u)
	if !ok || state.goal != g.login.goalOf(u) {
		return nil
	}
	problem := parameter(u.RawQuery, "error")
	return &loginReturn{u, state, parameter(u.RawQuery, "access_token"), slices.Contains(problem, "user_abort") ||
		slices.Contains(problem, "user_skip")}
}

// stateIn returns the state of a login, be it of this gate or of another one, that an address has come back with.
func (g *Gate) stateIn(q *inquiry, u *url.URL) (*loginState, bool) {
	// The page writes its parameters one after the other, without any encoding.
	states := parameter(u.RawQuery, "state")
	if len(states) != 1 {
		return nil, false
	}
	g.service.ledger.Ready(q.Context())
	return openLoginState(q.Context(), g.service.loginKeys(), states[0], hostOf(q.Request), g.service.sealedFor)
}

// parameter returns the values of a parameter as they are written.
func parameter(query, name string) (values []string) {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			values = append(values, value)
		}
	}
	return values
}

// finishLogin judges what a browser has come back with, and sends it to where it was going. Whether it gets in is for the gate to
// say there: by the evidence that the browser now keeps, or by the outcome that it brings along.
func (g *Gate) finishLogin(w http.ResponseWriter, q *inquiry, back *loginReturn) error {
	span := q.beginVerification()
	outcome := g.judgeReturn(q, back)
	decision := policy.Decision{Allow: outcome == ""}
	if !decision.Allow {
		decision = policy.Deny(outcome.refusal().reason)
	}
	q.visit.conclude(decision, q.evidence(), g.service.now())
	q.endVerification(span)
	header, cookies := w.Header(), g.login.cookies(q.secure)
	if outcome != outcomeCanceled { // else the page before is still good for going on
		cookies.bindingCookie(back.state.binding).clear(header)
	}
	if decision.Allow {
		cookies.outcome.clear(header)
		if g.sessions != nil {
			g.sessions.cookie(q.secure).unset(header) // one that an earlier gate has renewed is older
			g.keepSession(w, q)
		} else if err := g.keepLoginToken(w, q); err != nil {
			return err
		}
	} else if err := g.keepOutcome(w, q, back.url, outcome); err != nil {
		return err
	}
	countLogin(decision.Allow)
	g.record(zap.InfoLevel, "login ended", q)
	redirectFromLogin(w, cleanURL(back.url, back.state.query))
	return nil
}

// judgeReturn returns how a login has ended, which is "" only if it opens this gate.
func (g *Gate) judgeReturn(q *inquiry, back *loginReturn) loginOutcome {
	state, now := back.state, q.now
	switch {
	case !g.login.cookies(q.secure).isBound(q, state.binding):
		if !keepsCookies(q) {
			g.login.unbound.add(q, back.url)
		}
		return outcomeUnbound
	case now.Sub(state.begun) >= loginTime:
		return loginOutcome(policy.ExpiredToken)
	case state.begun.After(now.Add(policy.Skew)):
		return loginOutcome(policy.NotYetValid)
	case len(back.tokens) != 1 || len(back.tokens[0]) > bws.MaxTokenLength || verifier.KeyOf(back.tokens[0]) != state.token:
		return loginOutcome(policy.Contradiction)
	}
	// Somebody else may have become the user of the first factor.
	repl := q.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if person, reason := g.login.person(q, repl); reason != "" {
		return loginOutcome(reason)
	} else if person.String() != state.person {
		return loginOutcome(policy.Contradiction)
	}
	reason := g.judgeLoginToken(q, back.tokens[0])
	if reason == policy.Pending && back.canceled {
		return outcomeCanceled
	}
	return loginOutcome(reason)
}

// judgeLoginToken holds the token that a browser has come back with against the policy. It spends nothing.
func (g *Gate) judgeLoginToken(q *inquiry, token string) policy.Reason {
	held, reason := g.openSession(q)
	if reason == policy.AmbiguousToken || reason == policy.LedgerUnavailable {
		return reason
	}
	return g.judgeEvidence(q, token, held, false).Reason
}
