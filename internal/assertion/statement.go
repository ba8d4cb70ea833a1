// Package assertion signs what a gate has decided about a request, so that the app can tell it from what a client has made up.
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

// Statement is what an assertion says, but for its times and its id. Equal statements share an assertion while it is fresh, so that
// all that makes a difference to anybody is a part of it.
type Statement struct {
	// Session is whose the evidence is. It is not said.
	Session [16]byte
	// Issuer is the origin of the site, and Audience for whom the assertion is.
	Issuer, Audience string
	// Subject is whom the evidence names, if anybody.
	Subject bws.BCID
	// Action is the operation performed.
	Action bws.Action
	// Live says that the operation had to be a live person's, and Face that faces were compared to tell who it is.
	Live, Face bool
	// Performed is since when the operation can have been performed, in seconds since 1970.
	Performed int64
	// Method and Path are what the browser asked for.
	Method, Path string
	// Lifetime is how long an assertion is good.
	Lifetime time.Duration
}

// Of returns what evidence of a session states; who states it to whom about which request is for the caller to add.
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

// claims returns the payload of an assertion that is good from one second to another.
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
