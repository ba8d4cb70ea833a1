package caddybws

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// Anybody can invent tokens; all nodes would have to keep their revocations for a month.
func TestLogoutOfWhatIsNoToken(t *testing.T) {
	for name, test := range map[string]struct {
		token func(*site) string
		calls int
	}{
		"nothing":              {tokenText(""), 0},
		"rubbish":              {tokenText("rubbish"), 0},
		"too long":             {tokenText(strings.Repeat("e30.", 2000)), 0},
		"of another app":       {tokenForeign("another"), 0},
		"rejected":             {tokenForeign(bwstest.AppID), 1},
		"expired":              {tokenAfter(11 * time.Minute), 0},
		"rejected as expired":  {tokenAfter(10 * time.Minute), 1},
		"rejected and a blank": {func(s *site) string { return tokenForeign(bwstest.AppID)(s) + " " }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			o := send(t, post("Cookie: bws_token="+test.token(s.site)), s.logout(t, Logout{}))
			o.checkLoggedOut(t)
			if len(o.cookies(t)) != 3 {
				t.Errorf("cleared are %q", o.Header()["Set-Cookie"])
			}
			if calls := s.Calls("/result"); calls != test.calls {
				t.Errorf("BWS was asked %d times, want %d", calls, test.calls)
			}
			s.checkRevocations(t, 0)
		})
	}
}

// A token that comes many times is asked about once, though nothing is remembered of one that has ended.
func TestLogoutAsksOnceAboutAToken(t *testing.T) {
	s := newStoredSite(t)
	token := tokenAfter(10 * time.Minute)(s.site)
	cookies := "Cookie: bws_token=" + token + strings.Repeat("; bws_token="+token, 9)
	send(t, post(cookies, "X-BWS-Token: "+token), s.logout(t, Logout{})).checkLoggedOut(t)
	if calls := s.Calls("/result"); calls != 1 {
		t.Errorf("BWS was asked %d times", calls)
	}
	s.checkRevocations(t, 0)
}

// Nor does logging out again and again make BWS say again and again that it rejects a token.
func TestLogoutLeavesRejectionsRemembered(t *testing.T) {
	s := newSite(t)
	token, l := tokenForeign(bwstest.AppID)(s), s.logout(t, Logout{})
	for range 3 {
		send(t, post("X-BWS-Token: "+token), l).checkLoggedOut(t)
	}
	if calls := s.Calls("/result"); calls != 1 {
		t.Errorf("BWS was asked %d times", calls)
	}
}

// Security case 107: the browser forgets, this node refuses, and the person hears that other nodes may not.
func TestLogoutWithoutStorage(t *testing.T) {
	for name, fault := range map[string]ledgertest.Fault{
		"down": ledgertest.Failing(), "read-only": ledgertest.ReadOnly(), "writes fail": ledgertest.Failing(ledgertest.Store),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			g, token := s.gate(t, keeping), s.goodToken()
			cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
			s.faulty.Set(fault)
			o := send(t, post(cookie), s.logout(t, Logout{Redirect: "/bye"}))
			o.checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
			if o.Header().Get("Location") != "" || o.Header().Get("Cache-Control") != "no-store" || len(o.cookies(t)) != 3 {
				t.Errorf("the client gets %q", o.Header())
			}
			send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "revoked")
			send(t, get("X-BWS-Token: "+token), g).checkDenied(t, http.StatusUnauthorized, "revoked")
			// Whoever tries again when the storage is back has it stored.
			s.checkRevocations(t, 0)
			s.faulty.Set(ledgertest.Fault{})
			send(t, post(cookie), s.logout(t, Logout{})).checkLoggedOut(t)
			s.checkRevocations(t, 1)
		})
	}
}

// The first revocation that cannot be stored must not keep the others from being made here.
func TestLogoutOfTwoSessionsWithoutStorage(t *testing.T) {
	s := newStoredSite(t)
	g := s.gate(t, keeping)
	a, b := s.begin(t, g), s.begin(t, g)
	s.faulty.Set(ledgertest.Failing())
	send(t, post(a, b), s.logout(t, Logout{})).checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
	send(t, get(a), g).checkDenied(t, http.StatusUnauthorized, "revoked")
	send(t, get(b), g).checkDenied(t, http.StatusUnauthorized, "revoked")
}

// Each row is an answer of BWS about a token that nothing is known of, and what the person hears.
func TestLogoutWhenBWSDoesNotAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		answer bwstest.Answer
		reason policy.Reason
	}{
		"fault":       {bwstest.Answer{Status: http.StatusInternalServerError}, policy.ServiceUnavailable},
		"refused":     {bwstest.Answer{Status: http.StatusUnauthorized}, policy.ServiceMisconfigured},
		"redirection": {bwstest.Answer{Status: http.StatusFound}, policy.ServiceInvalid},
		"nonsense":    {bwstest.Answer{Body: []byte("<html>")}, policy.ServiceInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStoredSite(t)
			s.ScriptAlways("/result", test.answer)
			o := send(t, post("X-BWS-Token: "+s.goodToken()), s.logout(t, Logout{}))
			o.checkDenied(t, statuses[test.reason], string(test.reason))
			if len(o.cookies(t)) != 3 || o.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("the client gets %q", o.Header())
			}
			s.checkRevocations(t, 0)
		})
	}
}

func TestLogoutWhenBWSIsOutOfReach(t *testing.T) {
	for reason, end := range badEnds {
		t.Run(string(reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				token := s.goodToken()
				s.service = newService(t, end, s.service.now)
				o := send(t, post("X-BWS-Token: "+token), s.logout(t, Logout{}))
				o.checkDenied(t, statuses[reason], string(reason))
				if len(o.cookies(t)) != 3 {
					t.Errorf("cleared are %q", o.Header()["Set-Cookie"])
				}
			})
		})
	}
}

// Whoever asks about too many unknown tokens hears so here, too.
func TestLogoutIsRateLimited(t *testing.T) {
	s := newStoredSite(t)
	l := s.logout(t, Logout{})
	for range defaultRateCalls {
		send(t, post("X-BWS-Token: "+tokenForeign(bwstest.AppID)(s.site)), l).checkLoggedOut(t)
	}
	send(t, post("X-BWS-Token: "+tokenForeign(bwstest.AppID)(s.site)), l).checkDenied(t, http.StatusTooManyRequests, "rate_limited")
	if calls := s.Calls("/result"); calls != defaultRateCalls {
		t.Errorf("BWS was asked %d times", calls)
	}
	s.checkRevocations(t, 0)
}

// A session proves its own token, so that BWS need not be there.
func TestLogoutOfASessionNeedsNoBWS(t *testing.T) {
	s := newStoredSite(t)
	g, token := s.gate(t, keeping), s.goodToken()
	cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
	s.service.verifier.ForgetAll()
	s.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	asked := s.Calls("/result")
	send(t, post(cookie, "X-BWS-Token: "+token), s.logout(t, Logout{})).checkLoggedOut(t)
	if calls := s.Calls("/result") - asked; calls != 0 {
		t.Errorf("BWS was asked %d times", calls)
	}
	s.checkRevocations(t, 1)
}

// A token that cannot be proven must not keep the session that comes with it alive: rubbish in a header would be enough.
func TestLogoutEndsTheSessionWhateverBecomesOfTheToken(t *testing.T) {
	s := newStoredSite(t)
	g := s.gate(t, keeping)
	cookie := s.begin(t, g)
	s.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	o := send(t, post(cookie, "X-BWS-Token: "+s.goodToken()), s.logout(t, Logout{}))
	o.checkDenied(t, http.StatusServiceUnavailable, "service_unavailable")
	s.checkRevocations(t, 1)
	send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "revoked")
}

// A page that logs out and moves on at once cancels its request. All nodes hear of it nevertheless.
func TestLogoutIsStoredThoughTheClientLeaves(t *testing.T) {
	s := newStoredSite(t)
	g, token := s.gate(t, keeping), s.goodToken()
	cookie := s.begin(t, g)
	left, leave := context.WithCancel(t.Context())
	leave()
	send(t, post(cookie).WithContext(left), s.logout(t, Logout{}))
	s.checkRevocations(t, 1)
	send(t, post("X-BWS-Token: "+token).WithContext(left), s.logout(t, Logout{}))
	s.checkRevocations(t, 2)
}
