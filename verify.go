package caddybws

import (
	"context"
	"net/http"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// verify turns a token into evidence. It asks nobody about a token that is remembered, unless it must be asked about afresh, or
// that can be denied as it stands.
func (s *Service) verify(
	ctx context.Context, r *http.Request, token string, key verifier.Key, afresh bool,
) (*evidence.Evidence, policy.Reason) {
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
	return s.verifier.Verify(ctx, &verifier.Question{
		Token: token, Key: key, Claims: &claims, Client: clientAddr(r), Afresh: afresh, Logger: s.logger,
	}), ""
}
