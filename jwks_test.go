package caddybws

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

// published returns the keys that a service serves.
func published(t testing.TB, s *Service) jose.JSONWebKeySet {
	t.Helper()
	got := send(t, get(), &JWKS{service: s})
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(got.Body.Bytes(), &keys); got.err != nil || err != nil {
		t.Fatalf("got %d %s, %v, %v", got.Code, got.Body, got.err, err)
	}
	return keys
}

func TestJWKS(t *testing.T) {
	s := newStoredSite(t)
	next, err := s.service.ledger.Keys(ledger.Assertions).Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A node that has made none of the keys, and has not looked for them either.
	late := newService(t, inProcess{s.Service}, s.service.now)
	late.useLedger(t, ledger.New(ledger.Config{Storage: s.memory, ServiceID: late.identity, Now: s.service.now}))
	for name, service := range map[string]*Service{"this node": s.service, "another": s.anotherNode(t), "a late one": late} {
		got := send(t, get(), &JWKS{service: service})
		if got.err != nil || got.Code != http.StatusOK || got.app != nil {
			t.Fatalf("%s: got %d %s, %v; app reached: %v", name, got.Code, got.Body, got.err, got.app != nil)
		}
		for header, want := range map[string]string{"Content-Type": "application/jwk-set+json", "Cache-Control": "public, max-age=180"} {
			if value := got.Header().Get(header); value != want {
				t.Errorf("%s: %s is %q, want %q", name, header, value, want)
			}
		}
		keys := published(t, service)
		if len(keys.Keys) != 2 || len(keys.Key(next.ID.String())) != 1 {
			t.Errorf("%s: got %+v, want the key in use and the next one", name, keys)
		}
	}
	if maxAge := 180 * time.Second; maxAge > ledger.KeyPropagation {
		t.Errorf("keys that are kept for %s lack those that are used after %s", maxAge, ledger.KeyPropagation)
	}
}

func TestJWKSMethods(t *testing.T) {
	s := newSite(t)
	for method, status := range map[string]int{
		http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405, http.MethodOptions: 405, http.MethodDelete: 405, "BREW": 405,
	} {
		got := send(t, httptest.NewRequest(method, "http://app.example/jwks", nil), &JWKS{service: s.service})
		code := got.Code
		if failure, ok := errors.AsType[caddyhttp.HandlerError](got.err); ok {
			code = failure.StatusCode
		}
		if code != status || got.app != nil {
			t.Errorf("%s: got %d, want %d; app reached: %v", method, code, status, got.app != nil)
		}
		if allowed := got.Header().Get("Allow"); (status == 405) != (allowed == "GET, HEAD") {
			t.Errorf("%s: Allow is %q", method, allowed)
		}
	}
}

// An empty set would be kept, and refuse what is signed a moment later.
func TestJWKSWithoutKeys(t *testing.T) {
	s := newStoredSite(t)
	s.faulty.Set(ledgertest.Failing())
	s.service.useLedger(t, ledger.New(ledger.Config{Storage: s.faulty, ServiceID: s.service.identity, Now: s.service.now}))
	_ = s.service.ledger.Sync(t.Context())
	got := send(t, get(), &JWKS{service: s.service})
	got.checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
	if kept := got.Header().Get("Cache-Control"); kept != "no-store" {
		t.Errorf("Cache-Control is %q", kept)
	}
}
