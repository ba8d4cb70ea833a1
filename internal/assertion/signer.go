package assertion

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
)

// Signer makes assertions with the keys of all nodes. Its methods are safe for concurrent use.
type Signer struct {
	keys    *ledger.Keys
	now     func() time.Time
	known   *known
	current atomic.Pointer[signingKey]
}

// signingKey is a key and the signer that was prepared with it, which takes longer than signing.
type signingKey struct {
	*ledger.Key
	jose.Signer
}

// NewSigner returns a signer, with a goroutine until it is closed. Its clock must be that of the keys.
func NewSigner(keys *ledger.Keys, now func() time.Time) *Signer {
	return &Signer{keys: keys, now: now, known: newKnown(now)}
}

// Close forgets all assertions.
func (s *Signer) Close() { s.known.close() }

// Sign returns an assertion of the statement, or [ledger.ErrNoKey] as long as there is no key.
func (s *Signer) Sign(statement *Statement, now time.Time) (string, error) {
	if text := s.known.fresh(statement, now); text != "" {
		return text, nil
	}
	key, err := s.signingKey()
	if err != nil {
		return "", err
	}
	// The key is published until it ends, so what it signs must not outlive it.
	from, until := now.Unix(), min(now.Add(statement.Lifetime).Unix(), key.OpenUntil.Unix())
	payload, err := statement.claims(from, until)
	if err != nil {
		return "", fmt.Errorf("encoding an assertion: %w", err)
	}
	signed, err := key.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("writing an assertion: %w", err)
	}
	s.known.learn(statement, text, from, until)
	return text, nil
}

// signingKey returns the current key with its signer, which is prepared once.
func (s *Signer) signingKey() (*signingKey, error) {
	key, err := s.keys.Current()
	if err != nil {
		return nil, err
	}
	if ready := s.current.Load(); ready != nil && ready.ID == key.ID {
		return ready, nil
	}
	with := jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: privateKey(key), KeyID: key.ID.String()}}
	signer, err := jose.NewSigner(with, new(jose.SignerOptions).WithType(Type))
	if err != nil {
		return nil, fmt.Errorf("preparing a key: %w", err)
	}
	ready := &signingKey{key, signer}
	s.current.Store(ready)
	return ready, nil
}

func privateKey(key *ledger.Key) ed25519.PrivateKey {
	seed := key.Secret()
	return ed25519.NewKeyFromSeed(seed[:])
}

// PublicKeys returns the keys that verify the assertions of all nodes, those included that are not in use yet.
func (s *Signer) PublicKeys(ctx context.Context) jose.JSONWebKeySet {
	published := s.keys.Published(ctx)
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, 0, len(published))}
	for _, key := range published {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: privateKey(key).Public(), KeyID: key.ID.String(), Algorithm: string(jose.EdDSA), Use: "sig",
		})
	}
	return set
}
