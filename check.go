package caddybws

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

const (
	minMaxAge = time.Second
	maxMaxAge = 24 * time.Hour
)

// check finds every mistake in the gate's options that shows without a request.
func (g *Gate) check() error {
	if err := checkServiceName(g.serviceName()); err != nil {
		return err
	}
	if err := g.checkOptions(); err != nil {
		return err
	}
	return g.checkTogether()
}

// checkOptions finds mistakes within one option. The Caddyfile asks after each, since then it can say the line.
func (g *Gate) checkOptions() error {
	return firstError(g.checkToken, g.checkAllow, g.checkPersons, g.checkScores, g.checkDemands,
		g.checkOnce, g.checkSession, g.checkLogin, g.checkDeny, g.checkIdentity, g.checkAssertion)
}

// checkTogether finds options that do not go together, once all are known.
func (g *Gate) checkTogether() error {
	return firstError(g.checkBinding, g.checkIdentification, g.checkHeaders, g.checkSessionTogether,
		g.checkLoginTogether, g.checkAssertionTogether)
}

func (g *Gate) checkToken() error {
	for i, s := range g.Token {
		if err := s.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(g.Token[:i], func(other TokenSource) bool {
			return other.Cookie == s.Cookie && other.headerName() == s.headerName()
		}) {
			return fmt.Errorf("token: %s is named twice; keep one", s)
		}
	}
	return nil
}

func (s TokenSource) check() error {
	set := 0
	for _, present := range []bool{s.Cookie != "", s.Header != "", s.Bearer} {
		if present {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("token: each source is exactly one of cookie, header and bearer, but one is %q; give one of them", s.members())
	}
	// A cookie's name follows the grammar of a header's.
	if !s.Bearer && !httpguts.ValidHeaderFieldName(s.Cookie+s.Header) {
		return fmt.Errorf("token: %s: not a valid name; use letters, digits, - and _", s)
	}
	if s.Header == "" {
		return nil
	}
	switch name := http.CanonicalHeaderKey(s.Header); {
	case name == "Authorization":
		return errors.New("token: header Authorization: use bearer")
	case name == "Cookie":
		return errors.New("token: header Cookie: use cookie <name>")
	case slices.Contains(unsettableHeaders, name):
		return fmt.Errorf("token: header %s has a meaning of its own; use another name", name)
	}
	return nil
}

// members are the members of a source that are given, in the words of its JSON.
func (s TokenSource) members() []string {
	members := make([]string, 0, 3)
	if s.Cookie != "" {
		members = append(members, "cookie "+s.Cookie)
	}
	if s.Header != "" {
		members = append(members, "header "+s.Header)
	}
	if s.Bearer {
		members = append(members, "bearer")
	}
	return members
}

// String writes the source as in a Caddyfile.
func (s TokenSource) String() string {
	switch {
	case s.Cookie != "":
		return "cookie " + s.Cookie
	case s.Bearer:
		return "bearer"
	}
	return "header " + s.Header
}

func (g *Gate) checkAllow() error {
	for i, action := range g.Allow {
		if !action.Known() {
			return fmt.Errorf("allow: unknown action %q: use verification, identification, enrollment or livenessdetection", action)
		}
		if slices.Contains(g.Allow[:i], action) {
			return fmt.Errorf("allow: %s is named twice; keep one", action)
		}
	}
	return nil
}

func (g *Gate) checkPersons() error {
	_, err := parsePersons(g.BCID)
	return err
}

// checkBinding refuses to bind a route to persons where an allowed operation proves nobody's identity.
func (g *Gate) checkBinding() error {
	for _, action := range g.actions() {
		if len(g.BCID) > 0 && (action == bws.LiveDetection || action == bws.Enrollment) {
			return fmt.Errorf("bcid: %s proves nobody's identity; remove bcid, or %s from allow", action, action)
		}
	}
	return nil
}

func (g *Gate) checkScores() error {
	if g.MinScore != nil {
		if err := checkFraction("min_score", *g.MinScore); err != nil {
			return err
		}
	}
	return checkFraction("min_margin", g.MinMargin)
}

func (g *Gate) checkIdentification() error {
	if g.MinScore == nil && slices.Contains(g.Allow, bws.Identification) {
		return errors.New("min_score is required when identification is allowed: without it the best match passes, however poor; " +
			"write one such as 0.7")
	}
	return nil
}

func (g *Gate) checkIdentity() error {
	_, err := newIdentity(g.IdentityHeaders)
	return err
}

// checkHeaders refuses a source that could never hold a token, because the gate removes what a client sends in its place.
func (g *Gate) checkHeaders() error {
	id, err := newIdentity(g.IdentityHeaders)
	if err != nil {
		return err
	}
	for _, s := range g.tokenSources(true) {
		if id.covers(s.headerName()) {
			return fmt.Errorf("token: %s is an identity header's name too, which no client may send; use another name for one of them", s)
		}
	}
	return nil
}

func (g *Gate) checkDemands() error {
	if g.MaxAge != 0 {
		if err := checkDuration("max_age", g.MaxAge, minMaxAge, maxMaxAge); err != nil {
			return err
		}
	}
	switch policy.Require(g.Require) {
	case "", policy.RequireLiveDetection, policy.RequireChallenge, policy.RequireNone:
		return nil
	}
	return fmt.Errorf("require: unknown value %q: use live_detection, challenge or none", g.Require)
}

func (g *Gate) checkDeny() error {
	if g.Deny == nil {
		return nil
	}
	switch g.Deny.Mode {
	case "", denyRespond, denyError:
		if g.Deny.To != "" {
			return fmt.Errorf("deny: only redirect takes a URL, got %q; remove it", g.Deny.To)
		}
		return nil
	case denyRedirect:
		if g.Deny.To == "" {
			return errors.New("deny redirect: the URL is missing: write redirect <url>")
		}
		return checkRedirect("deny redirect", g.Deny.To)
	}
	return fmt.Errorf("deny: unknown mode %q: use respond, error or redirect", g.Deny.Mode)
}

// warn tells the operator what is allowed but probably not meant; plain says that the server does not speak TLS itself.
func (g *Gate) warn(plain bool) {
	for _, warning := range g.warnings(plain) {
		g.logger.Warn(warning, zap.String("service", g.serviceName()))
	}
}

// warnings are about what is allowed but probably not meant.
func (g *Gate) warnings(plain bool) (warnings []string) {
	if slices.Contains(g.actions(), bws.Verification) && len(g.BCID) == 0 && g.Once == nil {
		warnings = append(warnings, "no bcid: whoever is enrolled may pass; name the persons, or bind them to a first factor's user")
	}
	if g.sessions != nil && plain {
		warnings = append(warnings, "sessions on a plain-http site: whoever reads the traffic can use them; serve it over https, or behind "+
			"a trusted proxy that does")
	}
	if g.policy.Require == policy.RequireNone {
		warnings = append(warnings, "require none: a photograph may pass for the person")
	}
	return warnings
}

// servesPlainly reports whether the server that is being provisioned does not speak TLS itself.
func servesPlainly(ctx caddy.Context) bool {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && len(server.TLSConnPolicies) == 0
}
