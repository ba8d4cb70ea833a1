package caddybws

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// Once makes a token good for one request. For such a request BWS is always asked afresh. That request is the only one on all
// nodes that use the same storage; if the storage cannot guarantee it, the request is denied with `ledger_unavailable`. A request
// that a browser makes in advance, or that may be repeated on its way (early data), is denied with `too_early` and spends nothing.
type Once struct {
	// The methods that spend the token. Requests with others need a token that has not been spent, and leave it so. HEAD spends
	// where GET does. Headers by which an app could be told to take one method for another are removed. Default: all.
	Methods []string `json:"methods,omitempty"`
}

// methodOverrides are headers by which many frameworks let a request claim another method than it has.
var methodOverrides = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

func (g *Gate) checkOnce() error {
	if g.Once == nil {
		return nil
	}
	for i, method := range g.Once.Methods {
		if !httpguts.ValidHeaderFieldName(method) || method != strings.ToUpper(method) {
			return fmt.Errorf("once: %q is not a method; write it in capitals, such as POST", method)
		}
		if slices.Contains(g.Once.Methods[:i], method) {
			return fmt.Errorf("once: %s is named twice; keep one", method)
		}
	}
	return nil
}

// spends reports whether the request is of a kind that a token is good for only once.
func (g *Gate) spends(r *http.Request) bool {
	if g.Once == nil || g.ReportOnly {
		return false
	}
	methods := g.Once.Methods
	return len(methods) == 0 || slices.Contains(methods, r.Method) ||
		r.Method == http.MethodHead && slices.Contains(methods, http.MethodGet)
}

// isTooEarly reports whether nobody may want the request yet, or it may be the repetition of one.
func isTooEarly(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		for _, value := range r.Header[name] {
			if strings.Contains(strings.ToLower(value), "prefetch") {
				return true
			}
		}
	}
	return len(r.Header["Early-Data"]) > 0 || r.TLS != nil && !r.TLS.HandshakeComplete
}

// redeem spends a token that would be allowed, or makes sure that it has not been spent.
func (g *Gate) redeem(q *inquiry, f *foundEvidence) policy.Decision {
	if g.ReportOnly {
		return policy.Decision{Allow: true}
	}
	redeem := g.service.ledger.Spent
	if g.spends(q.Request) {
		redeem = g.service.ledger.Redeem
	}
	spent, err := redeem(q.Context(), f.key, f.evidence.Expires)
	switch {
	case err != nil:
		g.logger.Warn("once cannot be guaranteed", zap.String("service", g.serviceName()), zap.Error(err))
		return policy.Deny(policy.LedgerUnavailable)
	case spent:
		return policy.Deny(policy.Spent)
	}
	f.spent = g.spends(q.Request)
	return policy.Decision{Allow: true}
}
