package caddybws

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// ServeHTTP lets the request through to next if, and only if, the policy allows it, or the gate only reports.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	v := visitOf(r, repl)
	secure := isSecure(r)

	g.identity.strip(r)
	e, decision := g.judge(r, v, repl, g.sources(secure))
	g.credentials.take(r, v)
	v.conclude(decision, e, g.service.now())

	switch {
	case decision.Allow:
		g.admit(w, r, v, repl, secure)
	case g.ReportOnly:
		g.reportDenial(r, v)
	default:
		return g.deny(w, r, v)
	}
	return next.ServeHTTP(w, r)
}

// judge finds evidence for the request and holds it against the policy. Evidence that an earlier gate found comes first; where
// it does not satisfy this gate, the request's own credentials speak.
func (g *Gate) judge(
	r *http.Request, v *visit, repl *caddy.Replacer, sources []TokenSource,
) (*evidence.Evidence, policy.Decision) {
	demands := g.policy
	demands.Persons = g.persons.resolve(v, repl)

	recalled := v.recall(g.service)
	var decision policy.Decision
	if recalled != nil {
		if decision = demands.Judge(recalled.evidence, g.service.now()); decision.Allow {
			return recalled.evidence, decision
		}
	}
	token, reason := findToken(sources, func(header string) []string { return v.header(r, header) })
	if recalled != nil && (token == recalled.token || reason == policy.NoToken) {
		return recalled.evidence, decision
	}
	if reason != "" {
		return nil, policy.Deny(reason)
	}
	e, reason := g.verify(r, token)
	if reason != "" {
		return nil, policy.Deny(reason)
	}
	v.remember(foundEvidence{g.service, e, token})
	return e, demands.Judge(e, g.service.now())
}

// verify turns a token into evidence. It asks nobody about a token that is remembered, or that can be denied as it stands.
func (g *Gate) verify(r *http.Request, token string) (*evidence.Evidence, policy.Reason) {
	if len(token) > bws.MaxTokenLength {
		return nil, policy.MalformedToken
	}
	key := verifier.KeyOf(token)
	if e := g.service.verifier.Recall(key); e != nil {
		return e, ""
	}
	claims, err := bws.ParseToken(token)
	if err != nil {
		return nil, policy.MalformedToken
	}
	if reason := policy.JudgeClaims(&claims, g.service.client.AppID(), g.service.now()); reason != "" {
		return nil, reason
	}
	client, _ := netip.ParseAddr(clientIP(r))
	return g.service.verifier.Verify(r.Context(), &verifier.Question{
		Token: token, Key: key, Claims: &claims, Client: client, Logger: g.service.logger,
	}), ""
}

// admit tells the app who was verified, and every cache on the way back that the answer is for this person alone.
func (g *Gate) admit(w http.ResponseWriter, r *http.Request, v *visit, repl *caddy.Replacer, secure bool) {
	g.identity.set(r.Header, v, repl)
	v.admitted = append(v.admitted, g.identity)

	v.addToList(w.Header(), "Cache-Control", "private")
	v.addToList(w.Header(), "Vary", g.vary(secure))
	if c := g.logger.Check(zap.DebugLevel, "allowed"); c != nil {
		c.Write(g.logFields(r, v)...)
	}
}

// reportDenial lets pass what would be denied: without a user, and with no header that names one.
func (g *Gate) reportDenial(r *http.Request, v *visit) {
	v.withdraw(r)
	if c := g.logger.Check(zap.InfoLevel, "would be denied"); c != nil {
		c.Write(g.logFields(r, v)...)
	}
}

func (g *Gate) logFields(r *http.Request, v *visit) []zap.Field {
	return []zap.Field{
		zap.String("service", g.serviceName()),
		zap.String("reason", string(v.decision.Reason)),
		zap.String("evidence", v.source()),
		zap.String("method", r.Method),
		zap.String("host", r.Host),
		zap.String("path", r.URL.Path),
		zap.String("client_ip", clientIP(r)),
	}
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
