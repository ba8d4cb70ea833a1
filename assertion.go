package caddybws

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-bws/caddy-bws/internal/assertion"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

const (
	// assertionHeader is the default header, in the spelling of [http.CanonicalHeaderKey].
	assertionHeader          = "X-Bws-Assertion"
	defaultAssertionLifetime = time.Minute
	minAssertionLifetime     = 5 * time.Second
)

// Assertion has the gate sign what it has decided about a request, for an app that does not rely on being reachable through Caddy
// only. It is a JWT in a request header, signed with Ed25519 (`EdDSA`) and a key of all nodes; the handler `bws_jwks` serves the public
// keys. Its `typ` is `bws-assertion+jwt`, and its claims are:
//
// Claim | Description
// ------|------------
// `iss` | The origin of the site, such as `https://app.example.com`
// `aud` | For whom it is
// `sub` | Whom the operation names: `storage/partition/class`. Absent if it names nobody
// `iat`, `nbf`, `exp` | From when until when it is good
// `jti` | What names this assertion. Requests that are equal in all that is said share one for half of its life
// `act` | The operation: `verification`, `identification`, `enrollment` or `livenessdetection`
// `age` | How old the operation could be at most when this was signed, in seconds
// `live` | Whether the operation had to be a live person's
// `amr` | `["face"]` if a person was verified or identified by the face
// `method`, `path` | What the browser asked for; the path without its query, and before any rewrite
//
// A request for which no assertion can be made is denied with `ledger_unavailable`. A gate that only reports makes none.
type Assertion struct {
	// The request header. The client's own is removed in any spelling, as is the default one by every gate. Default:
	// `X-BWS-Assertion`.
	Header string `json:"header,omitempty"`

	// For whom the assertions are: whatever the app knows itself by. Supports request placeholders; a request for which they yield
	// nothing is denied with `internal_error`. Default: the host of the request in lower case, without a port, which is the one that
	// `reverse_proxy` passes on unless it is told otherwise.
	Audience string `json:"audience,omitempty"`

	// How long an assertion is good. Default: 60s; 5s to 10m.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`
}

func (a *Assertion) header() string {
	return http.CanonicalHeaderKey(cmp.Or(a.Header, assertionHeader))
}

func (a *Assertion) lifetime() time.Duration {
	return cmp.Or(time.Duration(a.Lifetime), defaultAssertionLifetime)
}

func (g *Gate) checkAssertion() error {
	a := g.Assertion
	if a == nil {
		return nil
	}
	switch name := a.header(); {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("assertion: %q is not a header name; use letters, digits and -", a.Header)
	case name == "Authorization", slices.Contains(unsettableHeaders, name):
		return fmt.Errorf("assertion: %s has a meaning of its own; use another name", name)
	}
	return checkDuration("assertion: lifetime", caddy.Duration(a.lifetime()), minAssertionLifetime, ledger.LongestAssertion)
}

// checkAssertionTogether refuses a header that the gate needs for something else.
func (g *Gate) checkAssertionTogether() error {
	if g.Assertion == nil {
		return nil
	}
	name := g.Assertion.header()
	isTaken := func(other string) bool { return fold(other) == fold(name) }
	if slices.ContainsFunc(defaultHeaders, isTaken) || slices.ContainsFunc(slices.Collect(maps.Keys(g.IdentityHeaders)), isTaken) {
		return fmt.Errorf("assertion: %s is an identity header's name too; use another name for one of them", name)
	}
	for _, s := range slices.Concat(g.tokenSources(true), defaultSources(true)) {
		if isTaken(s.headerName()) {
			return fmt.Errorf("assertion: %s is where a token is looked for; use another name for one of them", name)
		}
	}
	return nil
}

// assertions is what a gate does to vouch for requests.
type assertions struct {
	header   string
	audience string
	lifetime time.Duration
}

func (g *Gate) provisionAssertions() {
	if a := g.Assertion; a != nil && !g.ReportOnly {
		g.assertions = &assertions{header: a.header(), audience: a.Audience, lifetime: a.lifetime()}
	}
}

var errNoAudience = errors.New("audience is empty; an assertion would be good for anybody")

// vouch has a request that may pass carry an assertion. Without one it may not, since the app could not tell it from a forged one.
func (g *Gate) vouch(q *inquiry, now time.Time) policy.Decision {
	if g.assertions == nil {
		return policy.Decision{Allow: true}
	}
	g.service.ledger.Ready(q.Context()) // there is no key before
	statement, err := g.assertions.about(q)
	if err == nil {
		q.assertion, err = g.service.signer.Sign(&statement, now)
	}
	switch {
	case err == nil:
		return policy.Decision{Allow: true}
	case errors.Is(err, ledger.ErrNoKey):
		return policy.Deny(policy.LedgerUnavailable) // the ledger reports the storage that is the cause
	}
	g.logger.Error("no assertion", zap.String("service", g.serviceName()), zap.Error(err))
	return policy.Deny(policy.InternalError)
}

// about returns what there is to state about a request.
func (a *assertions) about(q *inquiry) (assertion.Statement, error) {
	s := assertion.Of(q.found.id(), q.found.evidence)
	s.Lifetime = a.lifetime
	s.Issuer = schemeOf(q.secure) + "://" + strings.ToLower(q.Host)
	if a.audience == "" {
		s.Audience = hostOf(q.Request)
	} else {
		s.Audience = q.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).ReplaceAll(a.audience, "")
	}
	if s.Audience == "" {
		return s, errNoAudience
	}
	method, path := asked(q.Request)
	s.Method, s.Path = method, path.EscapedPath()
	return s, nil
}
