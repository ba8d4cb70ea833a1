// Package assertion signs what a gate has decided about a request, so that the app can tell it from what a client made up.
package assertion

import (
	"crypto/rand"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// Type is the header member "typ" of an assertion. A JWT that was made for anything else has another one.
const Type = "bws-assertion+jwt"

// Statement is what an assertion says, but for its times and its id. Equal statements share an assertion while it is fresh, so a
// statement has all that must keep assertions apart.
type Statement struct {
	// Session is the session that the evidence belongs to. The assertion does not say it.
	Session [16]byte
	// Issuer is the origin of the site, and Audience whom the assertion is for.
	Issuer, Audience string
	// Subject is whom the evidence names, if anybody.
	Subject bws.BCID
	// Action is the operation performed.
	Action bws.Action
	// Live says that the operation demanded a live person, and Face that the person was told by the face.
	Live, Face bool
	// Performed is the earliest moment at which the operation can have been performed, in seconds since 1970.
	Performed int64
	// Method and Path are those of the request.
	Method, Path string
	// Lifetime is how long an assertion is good.
	Lifetime time.Duration
}

// Of returns what the evidence of a session states. The caller adds who states it to whom, and about which request.
func Of(session [16]byte, e *evidence.Evidence) Statement {
	return Statement{
		Session: session, Subject: e.BCID, Action: e.Action, Live: e.Task.LiveDetection() || e.Task.Challenge(),
		Face: e.Face && !e.User().IsZero(), Performed: e.NotBefore.Unix(),
	}
}

// claims are an assertion's, in the order in which they are written.
type claims struct {
	Issuer    string     `json:"iss"`
	Audience  string     `json:"aud"`
	Subject   string     `json:"sub,omitzero"`
	IssuedAt  int64      `json:"iat"`
	NotBefore int64      `json:"nbf"`
	Expires   int64      `json:"exp"`
	ID        string     `json:"jti"`
	Action    bws.Action `json:"act"`
	Age       int64      `json:"age"`
	Live      bool       `json:"live"`
	Methods   []string   `json:"amr,omitzero"`
	Method    string     `json:"method"`
	Path      string     `json:"path"`
}

// claims returns the payload of an assertion that is good from one second until another.
func (s *Statement) claims(from, until int64) ([]byte, error) {
	c := claims{
		Issuer: s.Issuer, Audience: s.Audience, Subject: s.Subject.String(), IssuedAt: from, NotBefore: from, Expires: until,
		ID: rand.Text(), Action: s.Action, Age: max(0, from-s.Performed), Live: s.Live, Method: s.Method, Path: s.Path,
	}
	if s.Face {
		c.Methods = []string{"face"} // RFC 8176
	}
	return json.Marshal(&c)
}
