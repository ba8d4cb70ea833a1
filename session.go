package caddybws

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

// What sessions are unless a gate says otherwise, and what it can say.
const (
	defaultLifetime     = 15 * time.Minute
	minLifetime         = time.Minute
	maxLifetime         = 30 * 24 * time.Hour
	minIdle             = time.Second
	secureSessionCookie = "__Host-bws_session"
	plainSessionCookie  = "bws_session"
	sameSiteLax         = "lax"
	sameSiteStrict      = "strict"
)

// Session keeps what a token has proven in a cookie that is sealed with a key of all nodes, so that requests after the first need
// neither the token nor BWS. The cookie carries evidence and times, no decision: each gate that has sessions judges it by its own
// policy and lifetime. There is one session for one token.
type Session struct {
	// How long a session lasts from its beginning, which is when its token was seen first, or the end of that token if that is
	// earlier. Activity does not prolong it. Default: 15m; 1m to 720h.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// How long a session lasts without a request. Default: no such limit; 1s to the lifetime.
	Idle caddy.Duration `json:"idle,omitempty"`

	// The name of the cookie. Default: `__Host-bws_session`, and `bws_session` without TLS.
	Cookie string `json:"cookie,omitempty"`

	// Whether the cookie comes along when another site links here: `lax` or `strict`. With `strict`, a browser that comes from
	// another site gets a page that leads on by itself, since only then does the cookie come along. Default: `lax`.
	SameSite string `json:"same_site,omitempty"`
}

func (s *Session) lifetime() time.Duration { return cmp.Or(time.Duration(s.Lifetime), defaultLifetime) }

func (g *Gate) checkSession() error {
	s := g.Session
	if s == nil {
		return nil
	}
	if err := checkDuration("session", caddy.Duration(s.lifetime()), minLifetime, maxLifetime); err != nil {
		return err
	}
	if s.Idle != 0 {
		if err := checkDuration("session: idle", s.Idle, minIdle, maxLifetime); err != nil {
			return err
		}
	}
	return cmp.Or(s.checkCookie(), s.checkSameSite())
}

func (s *Session) checkCookie() error { return checkCookieName("session: cookie", s.Cookie) }

func (s *Session) checkSameSite() error {
	switch s.SameSite {
	case "", sameSiteLax, sameSiteStrict:
		return nil
	}
	return fmt.Errorf("session: same_site: unknown value %q: use lax or strict", s.SameSite)
}

// checkSessionTogether finds what a session does not go together with, once all options are known.
func (g *Gate) checkSessionTogether() error {
	s := g.Session
	switch {
	case s == nil:
		return nil
	case g.Once != nil:
		return errors.New("once and session exclude each other on one gate: a session is good for many requests; remove one of them")
	case time.Duration(s.Idle) > s.lifetime():
		return fmt.Errorf("session: idle: %s is longer than the session's lifetime of %s; shorten it",
			time.Duration(s.Idle), s.lifetime())
	}
	for _, secure := range []bool{true, false} {
		cookie := newSessionCookie(s.Cookie, secure, false).name
		if slices.ContainsFunc(g.tokenSources(secure), func(source TokenSource) bool { return source.Cookie == cookie }) {
			return fmt.Errorf("session: cookie: %s is a token's cookie, too; use another name for one of them", cookie)
		}
	}
	return nil
}

// sessions is what a gate does with sessions.
type sessions struct {
	lifetime, idle time.Duration
	strict         bool
	secure, plain  gateCookie
}

// newSessionCookie returns the cookie of this name, or the default one.
func newSessionCookie(name string, secure, strict bool) gateCookie {
	otherwise := plainSessionCookie
	if secure {
		otherwise = secureSessionCookie
	}
	return gateCookie{cmp.Or(name, otherwise), cookieAttributes(secure, strict)}
}

func (g *Gate) provisionSessions() {
	if g.Session == nil {
		return
	}
	strict := g.Session.SameSite == sameSiteStrict
	g.sessions = &sessions{
		lifetime: g.Session.lifetime(),
		idle:     time.Duration(g.Session.Idle),
		strict:   strict,
		secure:   newSessionCookie(g.Session.Cookie, true, strict),
		plain:    newSessionCookie(g.Session.Cookie, false, strict),
	}
}

func (s *sessions) cookie(secure bool) *gateCookie {
	if secure {
		return &s.secure
	}
	return &s.plain
}

// placeOf is where a session of this service is good.
func (s *Service) placeOf(r *http.Request, cookie *gateCookie) session.Place {
	return session.Place{Host: hostOf(r), Service: s.sealedFor, Cookie: cookie.name}
}

// hostOf is the host as the browser knows it.
func hostOf(r *http.Request) string {
	host := r.Host
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		host = host[:colon]
	}
	return strings.ToLower(host)
}

// openSession returns the session that the request carries, if it is alive, or else why it is not. What does not open is as if
// it were absent.
func (g *Gate) openSession(q *inquiry) (s *session.Session, reason policy.Reason) {
	if g.sessions == nil {
		return nil, ""
	}
	cookie := g.sessions.cookie(q.secure)
	switch value, unambiguous := cookie.find(q.visit, q.Request); {
	case !unambiguous:
		reason = policy.AmbiguousToken
	case value == "":
		return nil, ""
	default:
		s, reason = g.unseal(q, cookie, value)
	}
	if s == nil {
		metrics.sessionsRefused.Inc()
	}
	return s, reason
}

// unseal returns the session in a cookie, or else why it is not alive.
func (g *Gate) unseal(q *inquiry, cookie *gateCookie, value string) (*session.Session, policy.Reason) {
	if !g.service.knowsRevocations(q.Context(), q.now) {
		return nil, policy.LedgerUnavailable
	}
	place := g.service.placeOf(q.Request, cookie)
	s, ok := session.Open(q.Context(), g.service.ledger.Keys(ledger.Sessions), &place, value)
	if !ok {
		return nil, ""
	}
	if reason := g.judgeSession(s, q.now); reason != "" {
		return nil, reason
	}
	return s, ""
}

// judgeSession returns why a session has ended on this route, and "" if it has not.
func (g *Gate) judgeSession(s *session.Session, now time.Time) policy.Reason {
	switch s.Judge(g.sessions.lifetime, g.sessions.idle, policy.Skew, now) {
	case session.Lifetime, session.Idle:
		return policy.SessionExpired
	case session.Early:
		return policy.NotYetValid
	case session.NotEnded:
	}
	if g.service.revoked(s.ID, &s.Evidence) {
		return policy.Revoked
	}
	return ""
}

// keepSession begins a session after an allow, or renews the one that the request came with if activity counts.
func (g *Gate) keepSession(w http.ResponseWriter, q *inquiry) {
	if g.sessions == nil {
		return
	}
	var s session.Session
	event := metrics.sessionsIssued
	switch {
	case q.session == nil && q.found.session == nil:
		s = *session.Begin(q.found.key, q.found.evidence, q.now)
	case q.session != nil && q.session.NeedsRenewal(g.sessions.idle, q.now):
		s = *q.session
		s.Renewed = q.now
		event = metrics.sessionsRenewed
	default:
		return
	}
	cookie := g.sessions.cookie(q.secure)
	place := g.service.placeOf(q.Request, cookie)
	g.service.ledger.Ready(q.Context()) // there is no key before
	value, err := session.Seal(g.service.ledger.Keys(ledger.Sessions), &place, &s)
	if err != nil {
		// The ledger reports the storage that is the cause, and the token goes on being good.
		g.logger.Debug("no session", zap.Error(err))
		return
	}
	if left := s.Begun.Add(g.sessions.lifetime).Sub(q.now); left > 0 && cookie.set(w.Header(), value, left) {
		event.Inc()
	}
}
