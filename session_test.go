package caddybws

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/sealed"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

var (
	keeping = Gate{Session: &Session{}}
	idling  = Gate{Session: &Session{Lifetime: caddy.Duration(time.Hour), Idle: caddy.Duration(10 * time.Minute)}}
)

// cookies returns the cookies that an answer sets, by name.
func (o *outcome) cookies(t testing.TB) map[string]*http.Cookie {
	t.Helper()
	set := make(map[string]*http.Cookie)
	for _, cookie := range o.Result().Cookies() {
		if set[cookie.Name] != nil {
			t.Errorf("%s is set twice", cookie.Name)
		}
		set[cookie.Name] = cookie
	}
	return set
}

// session returns the header by which a browser returns the session that an answer has begun or renewed.
func (o *outcome) session(t testing.TB) string {
	t.Helper()
	o.checkAllowed(t)
	cookie := o.cookies(t)[plainSessionCookie]
	if cookie == nil {
		t.Fatalf("no session: %q", o.Header())
	}
	return "Cookie: " + cookie.Name + "=" + cookie.Value
}

// begin returns the session of a new token of Alice's.
func (s *site) begin(t testing.TB, g *Gate) string {
	t.Helper()
	return send(t, get("X-BWS-Token: "+s.goodToken()), g).session(t)
}

// checkNotSet checks that an answer leaves the session's cookie as it is.
func (o *outcome) checkNotSet(t testing.TB) {
	t.Helper()
	if set := o.Header()["Set-Cookie"]; len(set) > 0 {
		t.Errorf("the answer sets %q", set)
	}
}

func TestSessionNeedsNeitherBWSNorStorage(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, keeping)
	cookie := s.begin(t, g)
	s.pass(time.Minute)
	asked, stored := s.Calls("/result"), storageCalls(s.service)
	s.Script("/result", bwstest.Answer{Status: http.StatusInternalServerError})

	o := send(t, get(cookie+"; theme=dark"), g)
	o.checkAllowed(t)
	o.checkNotSet(t)
	o.checkPlaceholders(t, map[string]string{
		"http.bws.evidence": "session", "http.bws.age": "60", "http.bws.action": "verification", "http.auth.user.id": alice.String(),
	})
	if got := o.app.Header.Get("Cookie"); got != "theme=dark" {
		t.Errorf("the app gets the cookies %q", got)
	}
	if got := o.app.Header["X-Bws-Verified-At"]; len(got) != 1 || got[0] != start.Format(time.RFC3339) {
		t.Errorf("the app gets X-BWS-Verified-At: %q", got)
	}
	if s.Calls("/result") != asked || storageCalls(s.service) != stored {
		t.Errorf("%d calls of BWS, %d of the storage", s.Calls("/result")-asked, storageCalls(s.service)-stored)
	}
}

func storageCalls(s *Service) (n uint64) {
	for _, calls := range s.ledger.Calls() {
		n += calls.Total
	}
	return n
}

// Security case 58.
func TestSessionCookie(t *testing.T) {
	strict := Gate{Session: &Session{Lifetime: caddy.Duration(time.Hour), SameSite: "strict"}}
	named := Gate{Session: &Session{Cookie: "s"}}
	for name, test := range map[string]struct {
		gate   Gate
		secure bool
		want   http.Cookie
	}{
		"plain":          {keeping, false, http.Cookie{Name: "bws_session", MaxAge: 900, SameSite: http.SameSiteLaxMode}},
		"TLS":            {keeping, true, http.Cookie{Name: "__Host-bws_session", MaxAge: 900, SameSite: http.SameSiteLaxMode, Secure: true}},
		"strict":         {strict, true, http.Cookie{Name: "__Host-bws_session", MaxAge: 3600, SameSite: http.SameSiteStrictMode, Secure: true}},
		"name":           {named, true, http.Cookie{Name: "s", MaxAge: 900, SameSite: http.SameSiteLaxMode, Secure: true}},
		"name, plain":    {named, false, http.Cookie{Name: "s", MaxAge: 900, SameSite: http.SameSiteLaxMode}},
		"only reporting": {reporting(keeping), false, http.Cookie{Name: "bws_session", MaxAge: 900, SameSite: http.SameSiteLaxMode}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			r := get("X-BWS-Token: " + s.goodToken())
			if test.secure {
				r.TLS = &tls.ConnectionState{HandshakeComplete: true}
			}
			o := send(t, r, s.gate(t, test.gate))
			o.checkAllowed(t)
			got := o.cookies(t)[test.want.Name]
			if got == nil {
				t.Fatalf("got %q", o.Header()["Set-Cookie"])
			}
			if got.MaxAge != test.want.MaxAge || got.SameSite != test.want.SameSite || got.Secure != test.want.Secure ||
				!got.HttpOnly || got.Path != "/" || got.Domain != "" || len(got.Value) > sealed.MaxLength {
				t.Errorf("got %s, want %s", got, &test.want)
			}
			if vary := o.Header().Get("Vary"); !strings.Contains(vary, "Cookie") {
				t.Errorf("Vary: %s", vary)
			}
		})
	}
}

// Security cases 61, 62 and 120. The first request comes with the token, the last after some time with the session.
func TestSessionTimes(t *testing.T) {
	const minute = time.Minute
	long := Gate{Session: &Session{Lifetime: caddy.Duration(30 * 24 * time.Hour)}}
	fresh := Gate{Session: &Session{Lifetime: caddy.Duration(time.Hour)}, MaxAge: caddy.Duration(2 * minute)}
	for name, test := range map[string]struct {
		begun, judged Gate
		after         []time.Duration // between requests
		reason        string
	}{
		"within the lifetime":        {keeping, keeping, []time.Duration{15*minute - 1}, ""},
		"lifetime":                   {keeping, keeping, []time.Duration{15 * minute}, "session_expired"},
		"lifetime, however active":   {keeping, keeping, []time.Duration{5 * minute, 5 * minute, 5 * minute}, "session_expired"},
		"a shorter route":            {long, keeping, []time.Duration{15 * minute}, "session_expired"},
		"a longer route":             {keeping, long, []time.Duration{15 * minute}, ""},
		"idle":                       {idling, idling, []time.Duration{10 * minute}, "session_expired"},
		"almost idle":                {idling, idling, []time.Duration{10*minute - 1}, ""},
		"active":                     {idling, idling, []time.Duration{9 * minute, 9 * minute, 9 * minute, 9 * minute}, ""},
		"active until the end":       {idling, idling, []time.Duration{9 * minute, 9 * minute, 9 * minute, 9 * minute, 9 * minute, 9 * minute, 6 * minute}, "session_expired"},
		"long without an idle limit": {long, long, []time.Duration{29 * 24 * time.Hour}, ""},
		"act too old":                {fresh, fresh, []time.Duration{minute, minute, 1}, "too_old"},
		"act just young enough":      {fresh, fresh, []time.Duration{minute, minute}, ""},
		"clock set back a little":    {keeping, keeping, []time.Duration{-minute}, ""},
		"clock set back an hour":     {keeping, keeping, []time.Duration{-time.Hour}, "not_yet_valid"},
		"clock set forward":          {keeping, keeping, []time.Duration{time.Hour}, "session_expired"},
		"clock set and reset":        {keeping, keeping, []time.Duration{-time.Hour, time.Hour}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			judged := s.gate(t, test.judged)
			cookie := s.begin(t, s.gate(t, test.begun))
			var o *outcome
			for _, d := range test.after {
				s.pass(d)
				s.sync(t)
				o = send(t, get(cookie), judged)
				if renewed := o.cookies(t)[plainSessionCookie]; renewed != nil {
					cookie = "Cookie: bws_session=" + renewed.Value
				}
			}
			if test.reason == "" {
				o.checkAllowed(t)
				return
			}
			o.checkDenied(t, http.StatusUnauthorized, test.reason)
			o.checkNotSet(t)
		})
	}
}

// Activity renews a cookie at most twice in an idle time, and only the idle time.
func TestSessionRenewal(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, idling)
	cookie := s.begin(t, g)
	renewals := 0
	for range 40 {
		s.pass(30 * time.Second)
		s.sync(t)
		o := send(t, get(cookie), g)
		o.checkAllowed(t)
		if renewed := o.cookies(t)[plainSessionCookie]; renewed != nil {
			renewals++
			cookie = "Cookie: bws_session=" + renewed.Value
			if left := start.Add(time.Hour).Sub(s.clock.Now()); renewed.MaxAge != int(left/time.Second) {
				t.Errorf("the renewed cookie is kept for %d s, want %s", renewed.MaxAge, left)
			}
		}
	}
	if renewals != 4 {
		t.Errorf("%d renewals in twice the idle time, want 4", renewals)
	}
}

// A token begins its session with the end of the token at the latest, however late it is accepted.
func TestSessionOfAnEndingToken(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, keeping)
	token := s.goodToken()
	send(t, get("X-BWS-Token: "+token), g).checkAllowed(t)
	s.pass(bwstest.DefaultLifetime - time.Second)
	s.sync(t)
	cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
	s.pass(15*time.Minute - time.Second)
	s.sync(t)
	send(t, get(cookie), g).checkAllowed(t)
	s.pass(2 * time.Second)
	send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "session_expired")
}

// Security case 59: what was not sealed for this very place is as if it were absent.
func TestSessionsElsewhere(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, keeping)
	cookie := s.begin(t, g)
	elsewhere := get(cookie)
	elsewhere.Host = "other.example"
	upperCase := get(cookie)
	upperCase.Host = "APP.Example:8443"
	other := newService(t, inProcess{s.Service}, s.service.now)
	for name, test := range map[string]struct {
		r       *http.Request
		gate    *Gate
		allowed bool
	}{
		"here":            {get(cookie), g, true},
		"other spelling":  {upperCase, g, true},
		"another host":    {elsewhere, g, false},
		"another cookie":  {get(strings.Replace(cookie, "bws_session", "s", 1)), s.gate(t, Gate{Session: &Session{Cookie: "s"}}), false},
		"another's keys":  {get(cookie), provision(t, keeping, other), false},
		"tampered":        {get(tampered(cookie)), g, false},
		"nonsense":        {get("Cookie: bws_session=%zz"), g, false},
		"no session here": {get(cookie), s.gate(t, Gate{}), false},
	} {
		t.Run(name, func(t *testing.T) {
			o := send(t, test.r, test.gate)
			if test.allowed {
				o.checkAllowed(t)
				return
			}
			o.checkDenied(t, http.StatusUnauthorized, "no_token")
		})
	}
}

func TestRevoked(t *testing.T) {
	for name, subject := range map[string]func(token string) ledger.Subject{
		"session": func(token string) ledger.Subject { return ledger.OfSession(session.IDOf(keyOf(token))) },
		"person":  func(string) ledger.Subject { return ledger.OfPerson(personOf(alice)) },
		"all":     func(string) ledger.Subject { return ledger.OfService() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			g, plain := s.gate(t, keeping), s.gate(t, Gate{})
			token := s.goodToken()
			cookie := send(t, get("X-BWS-Token: "+token), g).session(t)
			s.pass(time.Second)
			if err := s.service.ledger.Revoke(t.Context(), subject(token)); err != nil {
				t.Fatal(err)
			}
			send(t, get(cookie), g).checkDenied(t, http.StatusUnauthorized, "revoked")
			for _, gate := range []*Gate{g, plain} {
				o := send(t, get(cookie, "X-BWS-Token: "+token), gate)
				o.checkDenied(t, http.StatusUnauthorized, "revoked")
				o.checkNotSet(t)
			}
			s.pass(time.Second)
			send(t, get(cookie, "X-BWS-Token: "+s.goodToken()), g).checkAllowed(t)
		})
	}
}

// A node that does not know what has been revoked opens no session, and keeps nobody out who has a good token.
func TestStorageOutOfReach(t *testing.T) {
	s := newSite(t)
	faulty := ledgertest.NewFaulty(new(ledgertest.Memory))
	s.service.ledger = ledger.New(ledger.Config{Storage: faulty, ServiceID: s.service.identity, Now: s.service.now})
	s.sync(t)
	g := s.gate(t, keeping)
	cookie := s.begin(t, g)
	faulty.Set(ledgertest.Failing())
	s.pass(defaultStorageGrace)
	send(t, get(cookie), g).checkAllowed(t)
	s.pass(1)
	send(t, get(cookie), g).checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
	send(t, get(cookie, "X-BWS-Token: "+s.goodToken()), g).checkAllowed(t)

	// One that has never known anything has no key, either.
	s.service.ledger = ledger.New(ledger.Config{Storage: faulty, ServiceID: s.service.identity, Now: s.service.now})
	_ = s.service.ledger.Sync(t.Context())
	send(t, get(cookie), g).checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
	o := send(t, get("X-BWS-Token: "+s.goodToken()), g)
	o.checkAllowed(t)
	o.checkNotSet(t)
}

// A browser that another site has led here keeps a strict cookie to itself; a page leads it on, once.
func TestStrictSession(t *testing.T) {
	strict := Gate{Session: &Session{SameSite: "strict"}, Deny: &Denial{Mode: denyRedirect, To: "/login"}}
	const led, navigates, html = "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Accept: text/html"
	for name, test := range map[string]struct {
		gate    Gate
		headers []string
		detour  bool
	}{
		"led here":            {strict, []string{led, navigates}, true},
		"led here, with junk": {strict, []string{led, navigates, "X-BWS-Token: x"}, true},
		"led on":              {strict, []string{"Sec-Fetch-Site: same-origin", navigates}, false},
		"typed":               {strict, []string{"Sec-Fetch-Site: none", navigates}, false},
		"an old browser":      {strict, []string{html}, false},
		"a script":            {strict, []string{led, "Sec-Fetch-Mode: cors"}, false},
		"with a cookie":       {strict, []string{led, navigates, "Cookie: bws_session=x"}, false},
		"lax":                 {keeping, []string{led, navigates}, false},
		"no session":          {Gate{}, []string{led, navigates}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			o := send(t, get(test.headers...), s.gate(t, test.gate))
			detour := strings.Contains(o.Body.String(), `<meta http-equiv="refresh" content="0">`)
			if o.app != nil || detour != test.detour || detour && (o.Code != http.StatusUnauthorized || o.Header().Get("Location") != "") {
				t.Errorf("got %d %s", o.Code, o.Body)
			}
		})
	}
}
