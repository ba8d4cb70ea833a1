package bwstest

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/caddy-bws/caddy-bws/bws"
)

const (
	// DefaultTask is what a token is for if nothing else is asked: a verification with live detection and three tries.
	DefaultTask = bws.TaskVerify | bws.TaskLiveDetect | 3
	// DefaultLifetime is how long a token lives (observed).
	DefaultLifetime = 600 * time.Second

	// defaultTraits are face and periocular (observed).
	defaultTraits = 3
	// audience names a host that does not exist, for clients that by mistake send the App-Secret to where the claims say.
	audience = "https://bws.invalid"
	// maxTokens bounds how many tokens are remembered. The oldest is forgotten first: it is still accepted, but has no result.
	maxTokens = 10_000
)

// TokenSpec says what a token is for.
type TokenSpec struct {
	// BCID is the person, or for an identification the partition. The zero value leaves the claim out.
	BCID bws.BCID
	// Task is the operation and its conditions. 0 stands for [DefaultTask]; for a verification without live detection give the
	// number of tries alone.
	Task bws.Task
	// Traits are the bits of the traits claim: face 1, periocular 2, voice 4. 0 stands for face and periocular.
	Traits int32
	// Challenges are the head movements for each try of a challenge-response. Nil stands for a fixed choice.
	Challenges [][]string
	// NotBefore is when the token becomes valid. Default: now.
	NotBefore time.Time
	// Lifetime is counted from NotBefore. Default: [DefaultLifetime].
	Lifetime time.Duration
}

// claims are what a token says (observed, as are their names).
type claims struct {
	TokenID   string   `json:"tokenid"`
	Client    string   `json:"clnt"`
	App       string   `json:"app"`
	Traits    int32    `json:"traits"`
	Task      bws.Task `json:"task"`
	BCID      string   `json:"bcid,omitzero"`
	Challenge string   `json:"challenge,omitzero"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
}

// person is whom the claims name; the zero value if nobody.
func (c claims) person() bws.BCID {
	person, _ := bws.ParseBCID(c.BCID)
	return person
}

func (c claims) validAt(now time.Time) bool {
	t := now.Unix()
	return c.NotBefore <= t && t < c.Expires
}

// Token returns a token as /token issues it.
func (s *Service) Token(spec TokenSpec) string {
	now := s.cfg.Now()
	if spec.Task == 0 {
		spec.Task = DefaultTask
	}
	if spec.Traits == 0 {
		spec.Traits = defaultTraits
	}
	if spec.NotBefore.IsZero() {
		spec.NotBefore = now
	}
	if spec.Lifetime == 0 {
		spec.Lifetime = DefaultLifetime
	}
	c := claims{
		TokenID:   uuid.NewString(),
		Client:    "emulator",
		App:       s.cfg.AppID,
		Traits:    spec.Traits,
		Task:      spec.Task,
		BCID:      spec.BCID.String(),
		NotBefore: spec.NotBefore.Unix(),
		Expires:   spec.NotBefore.Add(spec.Lifetime).Unix(),
		IssuedAt:  now.Unix(),
		Issuer:    "BWS",
		Audience:  audience,
	}
	if spec.Task.Challenge() {
		c.Challenge = challengeClaim(spec)
	}
	return s.signer.sign(c)
}

// Mint returns a token with just these claims, signed with the service's key. The service judges it like any other token: it
// refuses one that has expired, belongs to another application or lacks what a token must say, and treats any other as if
// /token had issued it. A token that the service has never signed is one of another Service. Mint panics if the claims have no
// JSON form.
func (s *Service) Mint(claims map[string]any) string { return s.signer.sign(claims) }

// challengeClaim holds an array of directions for each try, as JSON within a string (observed).
func challengeClaim(spec TokenSpec) string {
	challenges := spec.Challenges
	if challenges == nil {
		for try := range spec.Task.Tries() {
			first, second := directions[try%len(directions)], directions[(try+2)%len(directions)]
			challenges = append(challenges, []string{first, second})
		}
	}
	return string(must(json.Marshal(challenges)))
}

// directions are the head movements of a challenge-response (documented).
var directions = []string{"up", "left", "down", "right"}

// signer makes tokens and recognizes its own.
type signer struct {
	key    []byte
	signer jose.Signer
}

func newSigner() signer {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key)
	options := (&jose.SignerOptions{}).WithType("JWT")
	return signer{key, must(jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, options))}
}

func (s signer) sign(claims any) string {
	payload := must(json.Marshal(claims, json.Deterministic(true)))
	return must(must(s.signer.Sign(payload)).CompactSerialize())
}

var (
	errInvalidToken = errors.New("the token is not one of this service")
	errExpiredToken = errors.New("the token has expired, or is not valid yet")
)

// open returns the claims of a token that was signed with this key, also if it has expired.
func (s signer) open(token string) (claims, error) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return claims{}, errInvalidToken
	}
	payload, err := jws.Verify(s.key)
	if err != nil {
		return claims{}, errInvalidToken
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return claims{}, errInvalidToken
	}
	if c.BCID != "" && c.person().IsZero() {
		return claims{}, errInvalidToken
	}
	return c, nil
}

// must panics for mistakes that only the caller of this package can make.
func must[T any](v T, err error) T {
	if err != nil {
		panic("bwstest: " + err.Error())
	}
	return v
}
