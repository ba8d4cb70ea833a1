package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys = 64 << 10
	// keep is what bws_jwks says in Cache-Control, and again is how soon an unknown key may be asked for again.
	keep, again = 3 * time.Minute, 5 * time.Second
)

// keySet is what bws_jwks serves, as of a moment ago. The address is configured.
type keySet struct {
	url    string
	client http.Client

	mu    sync.Mutex
	keys  map[string]ed25519.PublicKey
	asked time.Time
}

// find returns a key. An unknown one may be new: then the keys are read again, but not each time that somebody invents one.
func (s *keySet) find(ctx context.Context, id string, now time.Time) (ed25519.PublicKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, known := s.keys[id]
	if age := now.Sub(s.asked); age >= keep || !known && age >= again {
		s.asked = now
		if keys, err := s.read(ctx); err == nil {
			s.keys = keys
		} else {
			log.Printf("the old keys have to do: %v", err)
		}
		key, known = s.keys[id]
	}
	return key, known
}

func (s *keySet) read(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxKeys))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers with %s", s.url, answer.Status)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, err
	}
	keys := make(map[string]ed25519.PublicKey, len(set.Keys))
	for _, key := range set.Keys {
		if public, ok := key.Key.(ed25519.PublicKey); ok && key.Algorithm == string(jose.EdDSA) && key.Use == "sig" {
			keys[key.KeyID] = public
		}
	}
	return keys, nil
}
