package caddybws

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/session"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// inquiry is what a gate looks at: a request, and what it has found out about it.
type inquiry struct {
	*http.Request
	visit *visit
	// traced is the context to go on with while there is a span for the verification.
	traced  context.Context
	secure  bool
	now     time.Time
	demands policy.Policy
	// found is the evidence that the decision is about, if there is any.
	found *foundEvidence
	// session is the session that the request came with, as long as it satisfies the gate.
	session *session.Session
	// assertion is what the app can verify the decision by, if the gate makes assertions.
	assertion string
}

// ServeHTTP lets the request through to next if, and only if, the policy allows it, or the gate only reports.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	v := visitOf(r, repl)
	q := inquiry{Request: r, visit: v, secure: isSecure(r), now: g.service.now(), demands: g.policy}
	q.demands.Persons = g.persons.resolve(v, repl)

	g.identity.strip(r)
	if g.login != nil {
		if back := g.returned(&q); back != nil {
			return g.finishLogin(w, &q, back)
		}
	}
	span := q.beginVerification()
	decision := g.judge(&q)
	now := g.service.now()
	if decision.Allow {
		decision = g.vouch(&q, now)
	}
	g.credentials.take(r, v)
	v.conclude(decision, q.evidence(), now)
	q.endVerification(span)

	switch {
	case g.ReportOnly:
		g.report(w, &q, repl)
		return next.ServeHTTP(w, r)
	case !decision.Allow:
		return g.deny(w, &q)
	}
	g.admit(w, &q, repl)
	response := v.openStream(g, w, &q)
	defer response.close()
	return next.ServeHTTP(response, r)
}

// report tells what would have been decided about a request that passes in any case.
func (g *Gate) report(w http.ResponseWriter, q *inquiry, repl *caddy.Replacer) {
	if q.visit.decision.Allow {
		g.admit(w, q, repl)
		return
	}
	q.visit.withdraw(q.Request) // who would be denied has no user, and no header that names one
	g.record(zap.InfoLevel, "would be denied", q)
}

func (q *inquiry) evidence() *evidence.Evidence {
	if q.found == nil {
		return nil
	}
	return q.found.evidence
}

// judge finds evidence for the request and holds it against the policy: what an earlier gate of the service has found, else the
// session, else the token, whose decision stands.
func (g *Gate) judge(q *inquiry) policy.Decision {
	if g.spends(q.Request) && isTooEarly(q.Request) {
		return policy.Deny(policy.TooEarly)
	}
	recalled := q.visit.recall(g.service)
	held, ended := g.openSession(q)
	if ended == policy.AmbiguousToken {
		return policy.Deny(ended)
	}
	decision := policy.Deny(cmp.Or(ended, policy.NoToken))
	if held != nil {
		if decision = q.demands.JudgeInSession(&held.Evidence, q.now); decision.Allow {
			q.session = held
		}
	}
	if recalled != nil {
		q.found = recalled
		if decision = g.judgeAgain(q, recalled); decision.Allow {
			if held != nil && disagree(recalled.evidence, &held.Evidence) {
				return policy.Deny(policy.Contradiction)
			}
			return decision
		}
	}
	if q.session != nil {
		q.found = q.visit.remember(foundEvidence{service: g.service, evidence: &held.Evidence, session: held})
		return policy.Decision{Allow: true}
	}
	return g.judgeToken(q, held, decision)
}

// judgeAgain holds what an earlier gate has found against this gate's policy and, for a session, its lifetime.
func (g *Gate) judgeAgain(q *inquiry, f *foundEvidence) policy.Decision {
	switch {
	case g.Once != nil && !f.spent:
		return policy.Deny(policy.NoToken) // it takes the token itself
	case f.session == nil || g.sessions == nil:
		return q.demands.Judge(f.evidence, q.now)
	}
	if reason := g.judgeSession(f.session, q.now); reason != "" {
		return policy.Deny(reason)
	}
	return q.demands.JudgeInSession(f.evidence, q.now)
}

// judgeToken decides by the token, or as it was decided without if there is none. Held is the session that the request came with.
func (g *Gate) judgeToken(q *inquiry, held *session.Session, without policy.Decision) policy.Decision {
	recalled := q.found
	token, reason := g.findToken(q)
	if reason == policy.NoToken || recalled != nil && recalled.token == token && g.Once == nil {
		return without
	}
	q.found = nil
	switch {
	case reason != "":
		return policy.Deny(reason)
	case len(token) > bws.MaxTokenLength:
		return policy.Deny(policy.MalformedToken)
	}
	if recalled != nil && recalled.session != nil && held == nil {
		held = recalled.session
	}
	decision := g.judgeEvidence(q, token, held, g.spends(q.Request))
	if decision.Allow && g.Once != nil {
		return g.redeem(q, q.found)
	}
	return decision
}

// judgeEvidence holds what came of a token against the policy, and against the session that the request came with.
func (g *Gate) judgeEvidence(q *inquiry, token string, held *session.Session, afresh bool) policy.Decision {
	f := foundEvidence{service: g.service, token: token, key: verifier.KeyOf(token)}
	var reason policy.Reason
	if f.evidence, reason = g.service.verify(q.Context(), q.Request, token, f.key, afresh); reason != "" {
		return policy.Deny(reason)
	}
	switch e := f.evidence; {
	case e.Success && g.service.revoked(session.IDOf(f.key), e):
		return policy.Deny(policy.Revoked)
	case e.Success && held != nil && disagree(e, &held.Evidence):
		return policy.Deny(policy.Contradiction)
	}
	q.found = q.visit.remember(f)
	return q.demands.Judge(f.evidence, g.service.now())
}

// findToken returns the token to look at, or the reason why there is none: that of a login counts first.
func (g *Gate) findToken(q *inquiry) (string, policy.Reason) {
	if g.login != nil {
		if token, reason := g.findLoginToken(q); reason != policy.NoToken {
			return token, reason
		}
	}
	return findToken(g.sources(q.secure), func(header string) []string { return q.visit.header(q.Request, header) })
}

// disagree reports whether two pieces of evidence name different persons.
func disagree(a, b *evidence.Evidence) bool {
	return a.BCID != b.BCID && !a.BCID.IsZero() && !b.BCID.IsZero()
}

// admit tells the app who was verified, and every cache on the way back that the answer is for this person alone.
func (g *Gate) admit(w http.ResponseWriter, q *inquiry, repl *caddy.Replacer) {
	r, v := q.Request, q.visit
	g.identity.set(r.Header, v, repl)
	v.admitted = append(v.admitted, g.identity)
	if q.assertion != "" {
		v.vouched = append(v.vouched, vouchedHeader{g.assertions.header, q.assertion})
	}
	v.vouch(r.Header)

	v.addToList(w.Header(), "Cache-Control", "private")
	v.addToList(w.Header(), "Vary", g.vary(q.secure))
	g.keepSession(w, q)
	g.record(zap.DebugLevel, "allowed", q)
}

// sources are the places of the token in this request.
func (g *Gate) sources(secure bool) []TokenSource {
	if secure {
		return g.secureSources
	}
	return g.plainSources
}

func (g *Gate) vary(secure bool) string {
	if secure {
		return g.secureVary
	}
	return g.plainVary
}

// isSecure reports whether the browser speaks HTTPS: to us, or to a proxy that Caddy is configured to trust.
func isSecure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	proto := r.Header["X-Forwarded-Proto"]
	return trusted && len(proto) == 1 && strings.EqualFold(proto[0], "https")
}

func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// clientAddr is the same as an address, the zero one if it is none.
func clientAddr(r *http.Request) netip.Addr {
	addr, _ := netip.ParseAddr(clientIP(r))
	return addr
}
