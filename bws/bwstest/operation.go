package bwstest

import (
	"crypto/sha256"
	"time"
)

// tokenKey stands for a token in memory.
type tokenKey [sha256.Size]byte

func keyOf(token string) tokenKey { return sha256.Sum256([]byte(token)) }

// operation is what the service remembers of one token.
type operation struct {
	key     tokenKey
	claims  claims
	samples int
	tries   int
	// result is of the last time the operation was performed, nil before the first.
	result *result
}

// tokens are the operations by token, bounded in number.
type tokens struct {
	byKey map[tokenKey]*operation
	order []tokenKey
}

func newTokens() tokens { return tokens{byKey: make(map[tokenKey]*operation)} }

// operation returns what is remembered of a token with these claims, and begins to remember it if nothing is.
func (t *tokens) operation(token string, c claims, now time.Time) *operation {
	key := keyOf(token)
	if op, ok := t.byKey[key]; ok {
		return op
	}
	for len(t.order) > 0 && (len(t.order) >= maxTokens || t.byKey[t.order[0]].claims.Expires <= now.Unix()) {
		delete(t.byKey, t.order[0])
		t.order = t.order[1:]
	}
	op := &operation{key: key, claims: c}
	t.byKey[key] = op
	t.order = append(t.order, key)
	return op
}

// find returns the operation of a token that is valid now. The caller holds the lock.
func (s *Service) find(token string) (*operation, error) {
	c, err := s.signer.open(token)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	if !c.validAt(now) {
		return nil, errExpiredToken
	}
	return s.tokens.operation(token, c, now), nil
}

// own returns the operation of a token this service has signed, and panics for any other. The caller holds the lock.
func (s *Service) own(token string) *operation {
	return s.tokens.operation(token, must(s.signer.open(token)), s.cfg.Now())
}
