package bws

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// MaxTokenLength is the longest token in bytes that [ParseToken] accepts. Real tokens have about 400 (observed).
const MaxTokenLength = 4096

// maxUnixTime is the last second of the year 9999, beyond which RFC 3339 has no notation.
const maxUnixTime = 253402300799

// ErrMalformedToken is what [ParseToken] returns for anything but a well-formed token. It says nothing about the content.
var ErrMalformedToken = errors.New("not a well-formed token: expected a canonical JWT of at most 4096 bytes with exp and nbf")

// UnverifiedClaims are the claims of a token as its holder presents them. Nobody has checked the signature, whose key only
// the service has: claims are hints that may deny early, and never allow before the service has accepted those exact bytes.
// Texts are as in the token, and may hold any characters. A claim that is absent or null is the zero value.
type UnverifiedClaims struct {
	// TokenID is the claim "tokenid" (observed).
	TokenID string
	// Client is the claim "clnt", the name of the client that owns the application (observed).
	Client string
	// App is the claim "app", the App-ID the token was issued to (observed).
	App string
	// BCID is the claim "bcid", whom the operation is about (observed), in any notation.
	BCID string
	// Task is the claim "task" (observed), never negative.
	Task Task
	// Traits is the claim "traits", a bit set: face 1, periocular 2, voice 4 (documented), never negative.
	Traits int32
	// NotBefore is the claim "nbf", when the token was issued (observed). Never zero.
	NotBefore time.Time
	// Expires is the claim "exp", 600 s later (observed). Never zero.
	Expires time.Time
	// IssuedAt is the claim "iat", which older tokens lack (observed).
	IssuedAt time.Time
	// Issuer is the claim "iss", "BWS" (observed).
	Issuer string
	// Audience is the claim "aud", a URL of the service (observed). Never send anything there.
	Audience string
}

// TraitFace is the bit of a token's traits that says that the operation compares faces (documented).
const TraitFace int32 = 1

type jwtHeader struct {
	Algorithm string `json:"alg"`
}

type jwtPayload struct {
	TokenID   string `json:"tokenid"`
	Client    string `json:"clnt"`
	App       string `json:"app"`
	BCID      string `json:"bcid"`
	Task      int32  `json:"task"`
	Traits    int32  `json:"traits"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	IssuedAt  int64  `json:"iat"`
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
}

// strictBase64 refuses stray trailing bits, so that no two spellings decode to one token.
var strictBase64 = base64.RawURLEncoding.Strict()

// ParseToken reads the claims of a token in canonical JWT syntax: three non-empty parts of base64url without padding or
// stray bits, a header that names an algorithm other than "none", and a payload with exp and nbf as positive integers
// before the year 10000. Both are strict JSON objects; claims of a wrong type are errors, claims it does not know are ignored.
// The error is always [ErrMalformedToken].
func ParseToken(token string) (UnverifiedClaims, error) {
	// The base64 decoder would skip line breaks.
	if len(token) > MaxTokenLength || strings.ContainsAny(token, "\r\n") {
		return UnverifiedClaims{}, ErrMalformedToken
	}
	// A part that is missing comes out empty, a fourth one leaves a dot in the signature: neither decodes.
	encodedHeader, rest, _ := strings.Cut(token, ".")
	encodedPayload, encodedSignature, _ := strings.Cut(rest, ".")

	var header jwtHeader
	if !decodePart(encodedHeader, &header) || header.Algorithm == "" || strings.EqualFold(header.Algorithm, "none") {
		return UnverifiedClaims{}, ErrMalformedToken
	}
	var payload jwtPayload
	if !decodePart(encodedPayload, &payload) || !payload.valid() {
		return UnverifiedClaims{}, ErrMalformedToken
	}
	signature, err := strictBase64.DecodeString(encodedSignature)
	if err != nil || len(signature) == 0 {
		return UnverifiedClaims{}, ErrMalformedToken
	}
	return payload.claims(), nil
}

// decodePart reads one part of a token, which must be a JSON object, into a struct.
func decodePart(part string, into any) bool {
	object, err := strictBase64.DecodeString(part)
	return err == nil && json.Unmarshal(object, into) == nil
}

func (p *jwtPayload) valid() bool {
	return p.Expires > 0 && p.Expires <= maxUnixTime &&
		p.NotBefore > 0 && p.NotBefore <= maxUnixTime &&
		p.IssuedAt >= 0 && p.IssuedAt <= maxUnixTime &&
		p.Task >= 0 && p.Traits >= 0
}

func (p *jwtPayload) claims() UnverifiedClaims {
	claims := UnverifiedClaims{
		TokenID:   p.TokenID,
		Client:    p.Client,
		App:       p.App,
		BCID:      p.BCID,
		Task:      Task(p.Task),
		Traits:    p.Traits,
		NotBefore: time.Unix(p.NotBefore, 0).UTC(),
		Expires:   time.Unix(p.Expires, 0).UTC(),
		Issuer:    p.Issuer,
		Audience:  p.Audience,
	}
	if p.IssuedAt != 0 {
		claims.IssuedAt = time.Unix(p.IssuedAt, 0).UTC()
	}
	return claims
}
