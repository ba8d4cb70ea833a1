package caddybws

import (
	"net/http"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

var (
	anyone   = Gate{}
	enrolled = Gate{Allow: []bws.Action{bws.Enrollment}}
	byBearer = Gate{Token: []TokenSource{{Bearer: true}}}
)

func reporting(g Gate) Gate {
	g.ReportOnly = true
	return g
}

// security case 116
func TestGatesShareEvidence(t *testing.T) {
	s := newSite(t)
	token := s.goodToken()
	r := get("Cookie: a=1; bws_token="+token, "Authorization: Bearer "+token)
	bound := Gate{BCID: []string{alice.String()}, IdentityHeaders: http.Header{"Remote-User": {"{http.bws.bcid}"}}}
	o := send(t, r, s.gate(t, anyone), s.gate(t, bound), s.gate(t, byBearer))
	o.checkAllowed(t)
	if calls := s.Calls("/result"); calls != 1 {
		t.Errorf("BWS was asked %d times", calls)
	}
	if o.app.Header.Get("Cookie") != "a=1" || o.app.Header["Authorization"] != nil {
		t.Errorf("the app gets %q", o.app.Header)
	}
	for _, name := range []string{"Remote-User", "X-Bws-Bcid"} {
		if got := o.app.Header[name]; !slices.Equal(got, []string{alice.String()}) {
			t.Errorf("the app gets %s: %q", name, got)
		}
	}
	if got := o.Header()["Cache-Control"]; !slices.Equal(got, []string{"private"}) {
		t.Errorf("the client gets Cache-Control: %q", got)
	}
	if got := o.Header()["Vary"]; !slices.Equal(got, []string{"Cookie, X-Bws-Token", "Authorization"}) {
		t.Errorf("the client gets Vary: %q", got)
	}
}

func TestGatesDoNotShareServices(t *testing.T) {
	s := newSite(t)
	another := newService(t, inProcess{s.Service}, s.service.now)
	o := send(t, get("Cookie: bws_token="+s.goodToken()), s.gate(t, anyone), provision(t, anyone, another))
	o.checkAllowed(t)
	if calls := s.Calls("/result"); calls != 2 {
		t.Errorf("BWS was asked %d times, want once for each service", calls)
	}
}

func TestGatesAskOnceAboutABadToken(t *testing.T) {
	s := newSite(t)
	r := get("X-BWS-Token: " + s.Token(bwstest.TokenSpec{BCID: alice}))
	o := send(t, r, s.gate(t, reporting(anyone)), s.gate(t, Gate{Require: "none"}))
	o.checkDenied(t, http.StatusUnauthorized, "pending")
	if calls := s.Calls("/result"); calls != 1 {
		t.Errorf("BWS was asked %d times", calls)
	}
}

func TestLaterGateLooksAtItsOwnToken(t *testing.T) {
	s := newSite(t)
	enrollment := s.Token(bwstest.TokenSpec{BCID: bob, Task: bws.TaskEnroll | bws.TaskLiveDetect})
	s.Perform(enrollment, bwstest.Outcome{Success: true})
	o := send(t, get("X-BWS-Token: "+enrollment, "Authorization: Bearer "+s.goodToken()), s.gate(t, enrolled), s.gate(t, byBearer))
	o.checkAllowed(t)
	if got := o.app.Header.Get("X-BWS-BCID"); got != alice.String() {
		t.Errorf("the app gets %q", got)
	}

	// Where it has none, what the earlier one found decides.
	o = send(t, get("X-BWS-Token: "+enrollment), s.gate(t, enrolled), s.gate(t, byBearer))
	o.checkDenied(t, http.StatusForbidden, "action_not_allowed")
	o = send(t, get("X-BWS-Token: "+enrollment, "Authorization: Bearer nonsense"), s.gate(t, enrolled), s.gate(t, byBearer))
	o.checkDenied(t, http.StatusUnauthorized, "malformed_token")
}

// Credentials are what the client sent, whatever handlers between gates do to the request.
func TestLaterGateSeesTheOriginal(t *testing.T) {
	s := newSite(t)
	planted := s.goodToken()
	plant := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		r.Header.Set("X-BWS-Token", planted)
		return next.ServeHTTP(w, r)
	})
	o := send(t, get("X-BWS-Token: "+s.token(bwstest.Outcome{})), s.gate(t, reporting(anyone)), plant, s.gate(t, anyone))
	o.checkDenied(t, http.StatusForbidden, "not_recognized")
}

// What an earlier gate has told about a person must not outlive a later denial: not in handle_errors, not where it is only reported.
func TestLaterDenialWithdrawsIdentity(t *testing.T) {
	s := newSite(t)
	named := Gate{IdentityHeaders: http.Header{"Remote-User": {"{http.auth.user.id}"}}}
	nobody := map[string]string{
		"http.auth.user.id": "", "http.bws.bcid": "", "http.bws.decision": "deny", "http.bws.reason": "action_not_allowed",
	}

	o := send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, named), s.gate(t, reporting(enrolled)))
	o.checkAllowed(t)
	o.checkPlaceholders(t, nobody)
	if len(o.app.Header) > 0 {
		t.Errorf("the app gets %q", o.app.Header)
	}

	var seen *http.Request
	look := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		seen = r
		return next.ServeHTTP(w, r)
	})
	failing := enrolled
	failing.Deny = &Denial{Mode: denyError}
	o = send(t, get("X-BWS-Token: "+s.goodToken()), look, s.gate(t, named), s.gate(t, failing))
	o.checkPlaceholders(t, nobody)
	if o.err == nil || o.app != nil || len(seen.Header) > 0 {
		t.Errorf("handle_errors gets %v with %q", o.err, seen.Header)
	}
}

// security case 119, through two gates
func TestLaterGateIsNotBoundToAnEarlierOne(t *testing.T) {
	s := newSite(t)
	bound := Gate{BCID: []string{"{http.auth.user.id}"}}
	r := func() *http.Request { return get("X-BWS-Token: " + s.goodToken()) }
	send(t, r(), s.gate(t, anyone), s.gate(t, bound)).checkDenied(t, http.StatusForbidden, "bcid_not_allowed")

	for user, status := range map[bws.BCID]int{alice: http.StatusOK, bob: http.StatusForbidden} {
		factor := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
			r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Set("http.auth.user.id", user.String())
			return next.ServeHTTP(w, r)
		})
		o := send(t, r(), factor, s.gate(t, anyone), s.gate(t, bound))
		if o.Code != status {
			t.Errorf("bound to %s: got %d %s", user, o.Code, o.Body)
		}
		o.checkPlaceholders(t, map[string]string{"http.auth.user.id": user.String()})
	}
}
