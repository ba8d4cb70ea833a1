package caddybws

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// Gate is a middleware that lets a request through only if a biometric operation at the BioID Web Service (BWS) says so. It
// reads a BWS token from the request, asks BWS for the result of the last operation performed with that token, and holds
// the result against this route's policy.
//
// A request that is denied gets a page if a browser navigates and `application/problem+json` otherwise, with the reason in
// the member `reason`: status 401 if evidence is missing, 403 if there is evidence and it does not suffice, 5xx if BWS gave no
// usable answer.
//
// A WebSocket or an event stream that was let through ends within five seconds after the evidence that opened it has ended or has
// been revoked.
//
// After the decision, these placeholders are set; those that do not apply are empty:
//
// Placeholder | Description
// ------------|-------------
// `{http.bws.decision}` | `allow` or `deny`
// `{http.bws.reason}` | Why the request was denied
// `{http.bws.action}` | The operation: `verification`, `identification`, `enrollment` or `livenessdetection`
// `{http.bws.bcid}` | Whom it named: `storage/partition/class`
// `{http.bws.storage}`, `{http.bws.partition}`, `{http.bws.class}` | The parts of the BCID
// `{http.bws.score}` | The best score of an identification
// `{http.bws.age}` | How old the operation can be at most, in seconds
// `{http.bws.evidence}` | Where the evidence came from: `service`, `cache` or `session`
//
// `{http.auth.user.id}` is the BCID of the person verified or identified, unless another handler has set it.
type Gate struct {
	// The name of the service, one of those of the app `bws`. Default: `default`.
	Service string `json:"service,omitempty"`

	// Where the token is looked for, in this order; the first place that holds one counts. Each is removed from the
	// request before the app sees it. Default: the cookie `__Host-bws_token` (without TLS `bws_token`), then the header
	// `X-BWS-Token`; with `login` none but the cookie that a login sets, which comes first in any case.
	Token []TokenSource `json:"token,omitempty"`

	// The operations that open the route: `verification`, `identification`, `enrollment`, `livenessdetection`. Default:
	// `verification`.
	Allow []bws.Action `json:"allow,omitempty"`

	// The persons who may pass, as patterns `storage/partition/class` of which one must match. A part is a value, `*` for
	// any, or holds request placeholders, which yield one literal part. A pattern that is one placeholder alone yields one
	// whole BCID. A user that a bws gate has set counts as empty. Default: anyone enrolled.
	BCID []string `json:"bcid,omitempty"`

	// The least score of the best match of an identification, 0 to 1. Required if `allow` contains `identification`.
	MinScore *float64 `json:"min_score,omitempty"`

	// The least difference between the scores of the best and the second best match of an identification, 0 to 1; where
	// there is one match, the second is 0. Default: 0.
	MinMargin float64 `json:"min_margin,omitempty"`

	// How old the biometric operation may be, counted from when its token was issued. Default: no limit; 1s to 24h.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// What the token must have demanded of the operation: `live_detection`, `challenge` or `none`. Default:
	// `live_detection`.
	Require string `json:"require,omitempty"`

	// Let a token pass only once, on all nodes together. Excludes `session`. Default: a token is good for many requests.
	Once *Once `json:"once,omitempty"`

	// Keep what a token has proven in a sealed cookie, for longer than the token lives. Default: no session.
	Session *Session `json:"session,omitempty"`

	// Have a browser that lacks evidence verified: send it to the camera page, and let it come back. Default: no login.
	Login *Login `json:"login,omitempty"`

	// How a denial is answered. Default: a page or problem+json.
	Deny *Denial `json:"deny,omitempty"`

	// The request headers that tell the app who was verified: names, and values with placeholders. The client's own are
	// removed in any spelling. An empty object sets none. Default: `X-BWS-BCID`, `X-BWS-Action`, `X-BWS-Score` (of an
	// identification) and `X-BWS-Verified-At` (RFC 3339).
	IdentityHeaders http.Header `json:"identity_headers,omitzero"`

	// Sign what was decided about a request, for an app that is to verify that the gate has let it in. Default: no assertion.
	Assertion *Assertion `json:"assertion,omitempty"`

	// Judge and log, but never deny: for trying a policy out. What would be denied passes without identity headers and
	// without a user. Default: false.
	ReportOnly bool `json:"report_only,omitempty"`

	ctx                         caddy.Context
	events                      *events
	service                     *Service
	policy                      policy.Policy
	persons                     persons
	identity                    *identity
	secureSources, plainSources []TokenSource
	secureVary, plainVary       string
	credentials                 credentialSet
	sessions                    *sessions
	login                       *login
	assertions                  *assertions
	logger, auditLog            *zap.Logger
	redirectTo                  string
}

// CaddyModule returns the Caddy module information.
func (Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.bws",
		New: func() caddy.Module { return new(Gate) },
	}
}

// Provision prepares everything that does not depend on a request.
func (g *Gate) Provision(ctx caddy.Context) error {
	g.ctx, g.logger, g.auditLog = ctx, ctx.Logger(), loggerNamed(ctx, auditLogger)
	if err := g.check(); err != nil {
		return err
	}
	var err error
	if g.service, err = serviceOf(ctx, g.Service); err != nil {
		return err
	}
	g.events = g.service.events
	g.provisionPolicy()
	g.provisionSessions()
	g.provisionSources()
	g.provisionAssertions()
	if err := g.provisionLogin(); err != nil {
		return err
	}
	if err := g.provisionIdentity(); err != nil {
		return err
	}
	if err := g.provisionDenial(); err != nil {
		return err
	}
	g.warn(servesPlainly(ctx))
	return nil
}

func (g *Gate) provisionPolicy() {
	g.persons, _ = parsePersons(g.BCID)
	g.policy = policy.Policy{
		Allow:     g.actions(),
		Bound:     len(g.BCID) > 0,
		MinMargin: g.MinMargin,
		MaxAge:    time.Duration(g.MaxAge),
		Require:   policy.RequireLiveDetection,
	}
	if g.MinScore != nil {
		g.policy.MinScore = *g.MinScore
	}
	if g.Require != "" {
		g.policy.Require = policy.Require(g.Require)
	}
}

func (g *Gate) provisionIdentity() (err error) {
	if g.identity, err = newIdentity(g.IdentityHeaders); err != nil {
		return err
	}
	if g.Assertion != nil {
		g.identity.strips(g.Assertion.header())
	}
	if g.Once != nil && len(g.Once.Methods) > 0 {
		g.identity.strips(methodOverrides...)
	}
	return nil
}

func (g *Gate) provisionSources() {
	g.secureSources, g.plainSources = g.tokenSources(true), g.tokenSources(false)
	g.secureVary, g.plainVary = g.varyOf(g.secureSources), g.varyOf(g.plainSources)
	g.credentials = credentialsOf(slices.Concat(g.secureSources, g.plainSources, defaultSources(true), defaultSources(false)))
	// Those of other gates, too, as far as they are known: with a session's cookie an app could do what the person can.
	g.credentials.cookies = append(g.credentials.cookies, secureSessionCookie, plainSessionCookie)
	if g.Session != nil && g.Session.Cookie != "" {
		g.credentials.cookies = append(g.credentials.cookies, g.Session.Cookie)
	}
}

// varyOf lists the headers on which the answer to a request depends.
func (g *Gate) varyOf(sources []TokenSource) string {
	names := make([]string, 0, len(sources)+1)
	for _, s := range sources {
		names = append(names, s.headerName())
	}
	if (g.sessions != nil || g.Login != nil) && !slices.Contains(names, "Cookie") {
		names = append(names, "Cookie")
	}
	return strings.Join(names, ", ")
}

// tokenSources are those that are configured, or the default ones over connections of one kind.
func (g *Gate) tokenSources(secure bool) []TokenSource {
	if len(g.Token) == 0 && g.Login == nil {
		return defaultSources(secure)
	}
	return g.Token
}

func (g *Gate) serviceName() string { return cmp.Or(g.Service, defaultService) }

func (g *Gate) actions() []bws.Action {
	if len(g.Allow) == 0 {
		return []bws.Action{bws.Verification}
	}
	return g.Allow
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Gate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
)
