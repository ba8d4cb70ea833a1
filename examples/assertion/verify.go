package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	header       = "X-Bws-Assertion"
	typ          = "bws-assertion+jwt"
	maxAssertion = 8 << 10
	// leeway is what the clocks of Caddy and the app may be apart.
	leeway = 5 * time.Second
)

// verifier knows what this app accepts. All of it is configured: nothing of it is taken from a request.
type verifier struct {
	// issuer is the origin at which people use the app.
	issuer string
	// audience is what the gate calls the app.
	audience string
	keys     *keySet
	now      func() time.Time
}

// assertion is what the gate states of a request.
type assertion struct {
	jwt.Claims
	Action  string   `json:"act"`
	Age     int64    `json:"age"`
	Live    bool     `json:"live"`
	Methods []string `json:"amr"`
	Method  string   `json:"method"`
	Path    string   `json:"path"`
}

// verify returns what the gate states of a request, or why there is no such statement.
func (v *verifier) verify(r *http.Request) (*assertion, error) {
	lines := r.Header.Values(header)
	if len(lines) != 1 || len(lines[0]) > maxAssertion {
		return nil, errors.New("there is not one assertion")
	}
	// Only this algorithm, whatever the assertion says of itself.
	token, err := jwt.ParseSigned(lines[0], []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, fmt.Errorf("not a signed assertion: %w", err)
	}
	key, err := v.key(r, token)
	if err != nil {
		return nil, err
	}
	a := new(assertion)
	if err := token.Claims(key, a); err != nil {
		return nil, fmt.Errorf("the signature is wrong: %w", err)
	}
	return a, v.check(r, a)
}

// key returns the key of an assertion: one of ours, never one that the assertion brings along or points to.
func (v *verifier) key(r *http.Request, token *jwt.JSONWebToken) (ed25519.PublicKey, error) {
	said := token.Headers[0]
	if said.ExtraHeaders[jose.HeaderType] != typ {
		return nil, errors.New("a JWT for something else")
	}
	key, known := v.keys.find(r.Context(), said.KeyID, v.now())
	if !known {
		return nil, errors.New("signed with a key that is not published")
	}
	return key, nil
}

// check holds what is stated against the request that has come with it.
func (v *verifier) check(r *http.Request, a *assertion) error {
	if a.IssuedAt == nil || a.NotBefore == nil || a.Expiry == nil {
		return errors.New("an assertion without times")
	}
	expected := jwt.Expected{Issuer: v.issuer, AnyAudience: jwt.Audience{v.audience}, Time: v.now()}
	if err := a.ValidateWithLeeway(expected, leeway); err != nil {
		return err
	}
	if a.Method != r.Method || a.Path != r.URL.EscapedPath() {
		return errors.New("an assertion for another request")
	}
	// From here on it is genuine. What follows is what this app wants to know.
	if a.Action != "verification" || a.Subject == "" || !a.Live {
		return errors.New("nobody has been verified")
	}
	return nil
}
