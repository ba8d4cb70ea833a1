package caddybws

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Security case 34.
func TestTwoSessions(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, keeping)
	cookie, other := s.begin(t, g), s.begin(t, g)
	send(t, get(cookie, cookie), g).checkAllowed(t)
	send(t, get(cookie, other), g).checkDenied(t, http.StatusBadRequest, "ambiguous_token")
	send(t, get(cookie, other, "X-BWS-Token: "+s.goodToken()), g).checkDenied(t, http.StatusBadRequest, "ambiguous_token")
}

// The policy of today is held against the evidence of yesterday, on each route.
func TestSessionMeetsThePolicy(t *testing.T) {
	s := newSite(t)
	bobs := s.gate(t, Gate{BCID: []string{bob.String()}, Session: &Session{}})
	cookie := s.begin(t, s.gate(t, keeping))
	o := send(t, get(cookie), bobs)
	o.checkDenied(t, http.StatusForbidden, "bcid_not_allowed")
	o.checkNotSet(t)
	// The token's decision stands where the session does not suffice.
	send(t, get(cookie, "X-BWS-Token: nonsense"), bobs).checkDenied(t, http.StatusUnauthorized, "malformed_token")
	send(t, get(cookie, "X-BWS-Token: nonsense"), s.gate(t, keeping)).checkAllowed(t)
}

// tokenOfBob is a token with which Bob has been verified.
func (s *site) tokenOfBob() string {
	token := s.Token(bwstest.TokenSpec{BCID: bob})
	s.Perform(token, bwstest.Outcome{Success: true})
	return token
}

// Security case 118: a session and a token that name two people open nothing, unless the session is over.
func TestSessionAgainstToken(t *testing.T) {
	stepUp := Gate{Session: &Session{}, MaxAge: caddy.Duration(time.Minute)}
	s := newSite(t)
	g := s.gate(t, stepUp)
	cookie := s.begin(t, g)
	s.pass(2 * time.Minute)
	send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "too_old")
	send(t, get(cookie, "X-BWS-Token: "+s.tokenOfBob()), g).checkDenied(t, http.StatusForbidden, "contradiction")
	send(t, get(cookie, "X-BWS-Token: "+s.Token(bwstest.TokenSpec{BCID: bob})), g).checkDenied(t, http.StatusUnauthorized, "pending")

	again := send(t, get(cookie, "X-BWS-Token: "+s.goodToken()), g).session(t)
	if again == cookie {
		t.Error("the session is not begun anew with the new token")
	}
	s.pass(15 * time.Minute)
	s.sync(t)
	send(t, get(again, "X-BWS-Token: "+s.tokenOfBob()), g).checkAllowed(t)
}

// Security case 116: a step-up route inside a site-wide session.
func TestStepUpInASession(t *testing.T) {
	s := newSite(t)
	siteWide := s.gate(t, Gate{Session: &Session{Lifetime: caddy.Duration(30 * time.Minute)}})
	stepUp := s.gate(t, Gate{MaxAge: caddy.Duration(2 * time.Minute), Once: &Once{Methods: []string{http.MethodPost}}})
	cookie := s.begin(t, siteWide)
	s.pass(5 * time.Minute)
	send(t, post(cookie), stepUp, siteWide).checkDenied(t, http.StatusUnauthorized, "no_token")

	token := s.goodToken()
	o := send(t, post(cookie, "X-BWS-Token: "+token), stepUp, siteWide)
	o.checkAllowed(t)
	o.checkNotSet(t)
	if got := o.app.Header["X-Bws-Bcid"]; len(got) != 1 || got[0] != alice.String() {
		t.Errorf("the app gets X-BWS-BCID: %q", got)
	}
	send(t, post(cookie, "X-BWS-Token: "+token), stepUp, siteWide).checkDenied(t, http.StatusUnauthorized, "spent")
	send(t, get(cookie), siteWide).checkAllowed(t)
	// Without a session there is one afterwards.
	send(t, post("X-BWS-Token: "+s.goodToken()), stepUp, siteWide).session(t)
	// The other order does not matter.
	send(t, post(cookie, "X-BWS-Token: "+s.goodToken()), siteWide, stepUp).checkAllowed(t)
	for _, handlers := range [][]*Gate{{stepUp, siteWide}, {siteWide, stepUp}} {
		o := send(t, post(cookie, "X-BWS-Token: "+s.tokenOfBob()), handlers[0], handlers[1])
		o.checkDenied(t, http.StatusForbidden, "contradiction")
	}
}

// What an earlier gate has found in a session is judged by the lifetime of each later gate.
func TestSessionThroughSeveralGates(t *testing.T) {
	s := newSite(t)
	long, short := s.gate(t, Gate{Session: &Session{Lifetime: caddy.Duration(time.Hour)}}), s.gate(t, keeping)
	plain := s.gate(t, Gate{})
	cookie := send(t, get("X-BWS-Token: "+s.goodToken()), long, short).session(t)
	o := send(t, get(cookie), long, short, plain)
	o.checkAllowed(t)
	o.checkNotSet(t)
	s.pass(20 * time.Minute)
	s.sync(t)
	send(t, get(cookie), long).checkAllowed(t)
	send(t, get(cookie), long, short).checkDenied(t, http.StatusUnauthorized, "session_expired")
	send(t, get(cookie), long, plain).checkDenied(t, http.StatusUnauthorized, "expired_token")
}

// A verification and what names nobody do not contradict each other.
func TestSessionOfNobody(t *testing.T) {
	s := newSite(t)
	alive := s.gate(t, Gate{Allow: []bws.Action{bws.LiveDetection}, Session: &Session{}})
	token := s.Token(bwstest.TokenSpec{Task: bws.TaskLiveOnly})
	s.Perform(token, bwstest.Outcome{Success: true})
	cookie := send(t, get("X-BWS-Token: "+token), alive).session(t)
	o := send(t, get(cookie), alive)
	o.checkAllowed(t)
	o.checkPlaceholders(t, map[string]string{"http.bws.bcid": "", "http.auth.user.id": "", "http.bws.evidence": "session"})
	send(t, get(cookie, "X-BWS-Token: "+s.goodToken()), s.gate(t, keeping)).checkAllowed(t)
}
