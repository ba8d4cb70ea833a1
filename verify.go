package caddybws

import (
	"net/http"
	"net/netip"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// verify turns a token into evidence. It asks nobody about a token that is remembered, unless it must be asked about afresh, or
// that can be denied as it stands.
func (s *Service) verify(r *http.Request, token string, key verifier.Key, afresh bool) (*evidence.Evidence, policy.Reason) {
	if !afresh {
		if e := s.verifier.Recall(key); e != nil {
			metrics.cacheHits.Inc()
			return e, ""
		}
	}
	claims, err := bws.ParseToken(token)
	if err != nil {
		return nil, policy.MalformedToken
	}
	if reason := policy.JudgeClaims(&claims, s.client.AppID(), s.now()); reason != "" {
		return nil, reason
	}
	if !afresh {
		metrics.cacheMisses.Inc() // of a token that is worth a question
	}
	client, _ := netip.ParseAddr(clientIP(r))
	return s.verifier.Verify(r.Context(), &verifier.Question{
		Token: token, Key: key, Claims: &claims, Client: client, Afresh: afresh, Logger: s.logger,
	}), ""
}
