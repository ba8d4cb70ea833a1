package caddybws

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// checkNotBegun checks that an answer neither sends a browser anywhere nor has it keep anything, and that no token was asked for.
func (s *site) checkNotBegun(t testing.TB, o *outcome) {
	t.Helper()
	if calls := s.Calls("/token"); calls != 0 || o.Code < 400 || o.Header().Get("Location") != "" || o.app != nil {
		t.Errorf("got %d %q, %d tokens were asked for", o.Code, o.Header(), calls)
	}
	o.checkNotSet(t)
}

// Security cases 71 and 123.
func TestLoginBeginsForNavigations(t *testing.T) {
	const (
		navigate, document = "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"
		html               = "Accept: text/html"
		yes, no            = true, false
	)
	for name, test := range map[string]struct {
		method  string
		headers []string
		begins  bool
	}{
		"a page":                     {http.MethodGet, []string{navigate, document}, yes},
		"a page, from anywhere":      {http.MethodGet, []string{navigate, document, "Sec-Fetch-Site: cross-site"}, yes},
		"a page in an app's window":  {http.MethodGet, []string{navigate, document, "X-Requested-With: com.example.app"}, yes},
		"a page, whatever it wants":  {http.MethodGet, []string{navigate, document, "Accept: application/json"}, yes},
		"HEAD":                       {http.MethodHead, []string{navigate, document, html}, no},
		"POST":                       {http.MethodPost, []string{navigate, document, html}, no},
		"PUT":                        {http.MethodPut, []string{navigate, document, html}, no},
		"OPTIONS":                    {http.MethodOptions, []string{navigate, document, html}, no},
		"get in lower case":          {"get", []string{navigate, document, html}, no},
		"a frame":                    {http.MethodGet, []string{navigate, "Sec-Fetch-Dest: iframe", html}, no},
		"an old frame":               {http.MethodGet, []string{navigate, "Sec-Fetch-Dest: frame", html}, no},
		"an object":                  {http.MethodGet, []string{navigate, "Sec-Fetch-Dest: object", html}, no},
		"an embedded page":           {http.MethodGet, []string{navigate, "Sec-Fetch-Dest: embed", html}, no},
		"a picture":                  {http.MethodGet, []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", html}, no},
		"fetch":                      {http.MethodGet, []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", html}, no},
		"fetch, of a document":       {http.MethodGet, []string{"Sec-Fetch-Mode: same-origin", document, html}, no},
		"a WebSocket":                {http.MethodGet, []string{"Sec-Fetch-Mode: websocket", "Sec-Fetch-Dest: empty"}, no},
		"the mode alone":             {http.MethodGet, []string{navigate, html}, no},
		"the destination alone":      {http.MethodGet, []string{document, html}, no},
		"two modes":                  {http.MethodGet, []string{navigate, navigate, document, html}, no},
		"two destinations":           {http.MethodGet, []string{navigate, document, document, html}, no},
		"in capitals":                {http.MethodGet, []string{"Sec-Fetch-Mode: NAVIGATE", document, html}, no},
		"an empty mode":              {http.MethodGet, []string{"Sec-Fetch-Mode: ", html}, no},
		"prefetch":                   {http.MethodGet, []string{navigate, document, "Sec-Purpose: prefetch"}, no},
		"prerender":                  {http.MethodGet, []string{navigate, document, "Sec-Purpose: prefetch;prerender"}, no},
		"another purpose":            {http.MethodGet, []string{navigate, document, "Sec-Purpose: x"}, no},
		"prefetch, older":            {http.MethodGet, []string{navigate, document, "Purpose: prefetch"}, no},
		"another older purpose":      {http.MethodGet, []string{navigate, document, "Purpose: x"}, yes},
		"prefetch, oldest":           {http.MethodGet, []string{html, "X-Moz: prefetch"}, no},
		"prefetch, old browser":      {http.MethodGet, []string{html, "Purpose: Prefetch"}, no},
		"early data":                 {http.MethodGet, []string{navigate, document, "Early-Data: 1"}, no},
		"an old browser":             {http.MethodGet, []string{"Accept: text/html,application/xml;q=0.9,*/*;q=0.8"}, yes},
		"HTML alone":                 {http.MethodGet, []string{html}, yes},
		"HTML as much as another":    {http.MethodGet, []string{"Accept: application/json, text/html"}, yes},
		"HTML in a second line":      {http.MethodGet, []string{"Accept: image/png;q=0.1", html}, yes},
		"HTML less than another":     {http.MethodGet, []string{"Accept: application/json, text/html;q=0.9"}, no},
		"HTML less than any":         {http.MethodGet, []string{"Accept: text/html;q=0.5, */*;q=0.8"}, no},
		"HTML refused":               {http.MethodGet, []string{"Accept: text/html;q=0"}, no},
		"HTML with no such weight":   {http.MethodGet, []string{"Accept: text/html;q=NaN"}, no},
		"anything":                   {http.MethodGet, []string{"Accept: */*"}, no},
		"any text":                   {http.MethodGet, []string{"Accept: text/*"}, no},
		"JSON":                       {http.MethodGet, []string{"Accept: application/json"}, no},
		"an event stream":            {http.MethodGet, []string{"Accept: text/event-stream"}, no},
		"nothing said":               {http.MethodGet, nil, no},
		"a script in an old browser": {http.MethodGet, []string{html, "X-Requested-With: XMLHttpRequest"}, no},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			o := send(t, method(test.method, test.headers...), s.gate(t, loginGate()))
			if test.begins {
				o.sentTo(t)
				return
			}
			s.checkNotBegun(t, o)
			if o.Code != http.StatusUnauthorized {
				t.Errorf("got %d", o.Code)
			}
		})
	}
	t.Run("early data, here", func(t *testing.T) {
		s := newSite(t)
		r := navigation("/page")
		r.TLS = &tls.ConnectionState{HandshakeComplete: false}
		s.checkNotBegun(t, send(t, r, s.gate(t, loginGate())))
	})
}

// denying is a handler that denies every request for a reason.
func (s *site) denying(g *Gate, reason policy.Reason) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
		v := visitOf(r, r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
		v.decision = policy.Deny(reason)
		q := inquiry{Request: r, visit: v, now: s.clock.Now(), demands: g.policy}
		q.demands.Persons = g.persons.fixed
		return g.deny(w, &q)
	}
}

func TestLoginBeginsForReasons(t *testing.T) {
	byItself := []policy.Reason{
		"no_token", "expired_token", "rejected_token", "pending", "too_old", "session_expired", "spent", "revoked",
	}
	for reason, status := range statuses {
		for _, target := range []string{"/page", "/page?x=1", "/page?", "/page?x=1&"} {
			s := newSite(t)
			g := s.gate(t, loginGate())
			clicked := strings.HasSuffix(target, "?") || strings.HasSuffix(target, "&")
			begins := slices.Contains(byItself, reason) || clicked && (status == 401 || status == 403)
			o := send(t, navigation(target), s.denying(g, reason))
			if begins {
				o.sentTo(t)
				continue
			}
			s.checkNotBegun(t, o)
			o.checkPage(t, status, reason)
		}
	}
}

// From the camera page, the way would lead to the camera page.
func TestLoginDoesNotBeginAtTheCapturePage(t *testing.T) {
	for target, begins := range map[string]bool{
		"/bws/performtask": false, "/bws/performtask?x=1": false, "/bws/performtask?": false, "/bws/uui": true, "/": true,
	} {
		for _, ui := range []string{"https://app.example/bws/performtask", "https://APP.Example/bws/performtask?lang=de"} {
			s := newSite(t)
			g := s.gate(t, loginGate(func(g *Gate) { g.Login.UI = ui }))
			o := send(t, navigation(target), g)
			if begins {
				if location := o.Header().Get("Location"); !strings.HasPrefix(location, strings.Split(ui, "?")[0]+"?access_token=") {
					t.Errorf("%s: got %d %q", target, o.Code, location)
				}
				continue
			}
			s.checkNotBegun(t, o)
			o.checkPage(t, http.StatusUnauthorized, "no_token")
			if strings.Contains(o.Body.String(), "<a ") {
				t.Errorf("%s: the page offers to log in: %s", target, o.Body)
			}
		}
	}
}

// Security case 68: the origin is where the request was accepted, or there is none.
func TestLoginFromHosts(t *testing.T) {
	for host, fine := range map[string]bool{
		"app.example": true, "APP.example:8443": true, "127.0.0.1": true, "[::1]:8080": true, "a_b.example": true, "localhost": true,
		"": false, ":80": false, "a b": false, "evil.example/x": false, "app.example@evil.example": false, `app.example\x`: false,
		"app.example?x": false, "app.example#x": false, "a,b": false, "app.example:x": false, "app.example:1:2": false, "[::1": false,
		"a%2fb": false, "bücher.example": false, "a;b": false, `"><script>`: false, "[": false, "app.example.\r\nx": false, "［::1］": false,
	} {
		s := newSite(t)
		r := navigation("/page", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example", "X-Forwarded-Proto: https")
		r.Host = host
		o := send(t, r, s.gate(t, loginGate()))
		if !fine {
			s.checkNotBegun(t, o)
			continue
		}
		if got := o.sentTo(t).Get("return_url"); got != "http://"+host+"/page" {
			t.Errorf("%s: return_url is %q", host, got)
		}
	}
}

func TestLoginRedirect(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate(func(g *Gate) { g.Login.UI = "https://www.bioid.com/bws/performtask?lang=de&state=x&return_url=y" }))
	o := send(t, overTLS(navigation("/a%20b/c%2Fd?x=1&y=%2F", "X-Forwarded-Proto: http")), g)
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Www-Authenticate": "", "Content-Type": "",
	} {
		if got := o.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	ui := o.sentTo(t)
	if got := slices.Sorted(maps.Keys(ui)); !slices.Equal(got, []string{"access_token", "lang", "return_url", "state"}) {
		t.Errorf("the parameters are %q", got)
	}
	for name, values := range ui {
		if len(values) != 1 {
			t.Errorf("%s: %q", name, values)
		}
	}
	odd := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", r)
	}
	if state := ui.Get("state"); state == "" || len(state) > 512 || strings.ContainsFunc(state, odd) {
		t.Errorf("the state is %q", state)
	}
	if got := ui.Get("return_url"); got != "https://app.example/a%20b/c%2Fd" {
		t.Errorf("return_url is %q", got)
	}
	if claims, err := bws.ParseToken(ui.Get("access_token")); err != nil || claims.BCID != alice.String() {
		t.Errorf("the token is for %q, %v", claims.BCID, err)
	}
	if o.Body.Len() != 0 || o.err != nil {
		t.Errorf("the body is %q, error %v", o.Body, o.err)
	}
}

// identifying and aliveGate are gates that know nobody before, or nobody after.
var (
	goodScore   = 0.5
	identifying = Gate{
		Allow: []bws.Action{bws.Identification}, MinScore: &goodScore, Login: &Login{BCID: "bioid/9876/1"}, Session: new(Session),
	}
	aliveGate = Gate{Allow: []bws.Action{bws.LiveDetection}, Login: new(Login), Session: new(Session)}
)

// firstFactor is a handler that knows who somebody is, as authentication handlers do.
func firstFactor(user *string) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Set("user", *user)
		return next.ServeHTTP(w, r)
	}
}

func forUser(template string, patterns ...string) Gate {
	return Gate{BCID: patterns, Login: &Login{BCID: template}}
}

func TestLoginAsksForAToken(t *testing.T) {
	const anyone = "bioid/9876/*"
	challenging := loginGate(func(g *Gate) { g.Login.Challenge = true })
	required := loginGate(func(g *Gate) { g.Require = "challenge" })
	careful := loginGate(func(g *Gate) { g.Login.Challenge, g.Require = true, "none" })
	several := Gate{
		Allow: []bws.Action{bws.Identification, bws.LiveDetection, bws.Verification}, MinScore: &goodScore,
		Login: &Login{Task: "verify", BCID: alice.String()},
	}
	tries := func(n int) Gate { return loginGate(func(g *Gate) { g.Login.MaxTries = n }) }
	for name, test := range map[string]struct {
		gate Gate
		user string
		want string
	}{
		"by default":            {loginGate(), "", "bioid/9876/12345 verify 3 true false"},
		"one try":               {tries(1), "", "bioid/9876/12345 verify 1 true false"},
		"many tries":            {tries(15), "", "bioid/9876/12345 verify 15 true false"},
		"challenge":             {challenging, "", "bioid/9876/12345 verify 3 true true"},
		"challenge required":    {required, "", "bioid/9876/12345 verify 3 true true"},
		"nothing required":      {careful, "", "bioid/9876/12345 verify 3 true true"},
		"one of several tasks":  {several, "", "bioid/9876/12345 verify 3 true false"},
		"identify":              {identifying, "", "bioid/9876/0 identify 3 true false"},
		"livenessdetection":     {aliveGate, "", " livenessdetection 3 true false"},
		"one of many persons":   {forUser(bob.String(), anyone), "", "bioid/9876/12346 verify 3 true false"},
		"part by placeholder":   {forUser("bioid/9876/{user}", anyone), "7", "bioid/9876/7 verify 3 true false"},
		"part, gate bound":      {forUser("", "bioid/9876/{user}"), "7", "bioid/9876/7 verify 3 true false"},
		"whole by placeholder":  {forUser("{user}", anyone), "bioid.9876.7", "bioid/9876/7 verify 3 true false"},
		"negative class":        {forUser("{user}"), "x/0/-7", "x/0/-7 verify 3 true false"},
		"bound to what is sent": {forUser("{user}", "{user}"), "bioid/9876/7", "bioid/9876/7 verify 3 true false"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			send(t, navigation("/page"), firstFactor(&test.user), s.gate(t, test.gate)).sentTo(t)
			query := s.LastRequest("/token").Query
			got := strings.Join([]string{
				query.Get("bcid"), query.Get("task"), query.Get("maxtries"), query.Get("livedetection"), query.Get("challenge"),
			}, " ")
			if got != test.want || query.Get("autoenroll") != "false" || query.Get("id") != bwstest.AppID {
				t.Errorf("BWS is asked for %v, want %s", query, test.want)
			}
		})
	}
	for _, task := range []string{"enroll", "ENROLL", "Verify", "x"} {
		if g := loginGate(func(g *Gate) { g.Login.Task = task }); g.check() == nil {
			t.Errorf("the task %s is accepted", task)
		}
	}
}

// Whoever is nobody, or could not pass the gate, costs no call.
func TestLoginForNobody(t *testing.T) {
	const anyone = "*/*/*"
	for name, test := range map[string]struct {
		gate Gate
		user string
	}{
		"not logged in":      {forUser("{user}", anyone), ""},
		"no class":           {forUser("bioid/9876/{user}", anyone), ""},
		"a star":             {forUser("bioid/9876/{user}", anyone), "*"},
		"class 0":            {forUser("bioid/9876/{user}", anyone), "0"},
		"leading zero":       {forUser("bioid/9876/{user}", anyone), "012345"},
		"beyond 32 bits":     {forUser("bioid/9876/{user}", anyone), "4294979641"},
		"a separator":        {forUser("bioid/9876/{user}", anyone), "12345/1"},
		"a dot":              {forUser("bioid/9876/{user}", anyone), "1.2"},
		"white space":        {forUser("bioid/9876/{user}", anyone), " 12345"},
		"a placeholder":      {forUser("bioid/9876/{user}", anyone), "{http.request.header.x}"},
		"no partition":       {forUser("{user}", anyone), "bioid/12345"},
		"a name":             {forUser("{user}", anyone), "alice"},
		"a long storage":     {forUser("{user}", anyone), strings.Repeat("x", 129) + "/1/1"},
		"unknown":            {forUser("{nothing}", anyone), "7"},
		"not of this gate":   {forUser("bioid/9876/{user}", alice.String()), "12346"},
		"another partition":  {forUser("bioid/{user}/12345", alice.String()), "1"},
		"other storage":      {forUser("{user}", "bioid/*/*"), "BioID/9876/12345"},
		"nobody may":         {forUser("bioid/9876/7", "{user}"), ""},
		"user of this gate":  {forUser("{http.auth.user.id}", anyone), ""},
		"person of the gate": {forUser("{http.bws.bcid}", anyone), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			o := send(t, navigation("/page"), firstFactor(&test.user), s.gate(t, test.gate))
			s.checkNotBegun(t, o)
			o.checkPage(t, http.StatusForbidden, "bcid_not_allowed")
		})
	}
}

// Security case 119: whom a gate has found is not whom the next one may request a token for.
func TestLoginIgnoresUsersOfGates(t *testing.T) {
	for template, begins := range map[string]bool{"{http.auth.user.id}": false, "{http.bws.bcid}": false, alice.String(): true} {
		s := newSite(t)
		inner := forUser(template)
		inner.MaxAge = caddy.Duration(time.Minute)
		token := "X-Bws-Token: " + s.goodToken()
		s.pass(2 * time.Minute)
		o := send(t, navigation("/page", token), s.gate(t, Gate{}), s.gate(t, inner))
		if begins {
			o.sentTo(t)
			continue
		}
		s.checkNotBegun(t, o)
		o.checkPage(t, http.StatusForbidden, "bcid_not_allowed")
	}
}

// Each row is an answer of BWS to the request for a token.
func TestLoginWithoutAToken(t *testing.T) {
	for name, test := range map[string]struct {
		answer bwstest.Answer
		reason policy.Reason
	}{
		"fault":       {bwstest.Answer{Status: http.StatusInternalServerError}, policy.ServiceUnavailable},
		"refused":     {bwstest.Answer{Status: http.StatusUnauthorized}, policy.ServiceMisconfigured},
		"forbidden":   {bwstest.Answer{Status: http.StatusForbidden}, policy.ServiceMisconfigured},
		"bad request": {bwstest.Answer{Status: http.StatusBadRequest}, policy.ServiceInvalid},
		"redirection": {bwstest.Answer{Status: http.StatusFound, Header: http.Header{"Location": {"https://x.example"}}}, policy.ServiceInvalid},
		"empty":       {bwstest.Answer{}, policy.ServiceInvalid},
		"nonsense":    {bwstest.Answer{Body: []byte("<html>")}, policy.ServiceInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.ScriptAlways("/token", test.answer)
			o := send(t, navigation("/page"), s.gate(t, loginGate()))
			o.checkPage(t, statuses[test.reason], test.reason)
			o.checkNotSet(t)
			if calls := s.Calls("/token"); calls != 1 {
				t.Errorf("BWS was asked %d times", calls)
			}
		})
	}
}

func TestLoginWhenBWSIsOutOfReach(t *testing.T) {
	for reason, end := range badEnds {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			o := send(t, navigation("/page"), provision(t, loginGate(), newService(t, end, s.service.now)))
			o.checkPage(t, statuses[reason], reason)
			o.checkNotSet(t)
		})
	}
}

func TestLoginIsRateLimited(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate())
	for range defaultRateCalls {
		send(t, navigation("/page"), g).sentTo(t)
	}
	o := send(t, navigation("/page"), g)
	o.checkPage(t, http.StatusTooManyRequests, "rate_limited")
	if calls := s.Calls("/token"); calls != defaultRateCalls || o.Header().Get("Retry-After") == "" {
		t.Errorf("BWS was asked %d times, the header is %q", calls, o.Header())
	}
	o.checkNotSet(t)
}

// A service that is down is left alone.
func TestLoginDuringAnOutage(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, loginGate())
	s.ScriptAlways("/token", bwstest.Answer{Status: http.StatusInternalServerError})
	for range 20 {
		send(t, navigation("/page"), g).checkPage(t, http.StatusServiceUnavailable, "service_unavailable")
	}
	if calls := s.Calls("/token"); calls != 5 {
		t.Errorf("BWS was asked %d times", calls)
	}
}

// A camera page must not be handed another token than the one that was asked for.
func TestLoginChecksTheToken(t *testing.T) {
	claims := func(edit map[string]any) func(*site) string {
		return func(s *site) string {
			all := map[string]any{
				"app": bwstest.AppID, "bcid": alice.String(), "task": 0x103, "nbf": start.Unix(), "exp": start.Add(10 * time.Minute).Unix(),
			}
			maps.Copy(all, edit)
			return s.Mint(all)
		}
	}
	task := func(task bws.Task) func(*site) string { return claims(map[string]any{"task": task}) }
	plain, challenging := loginGate(), loginGate(func(g *Gate) { g.Login.Challenge = true })
	for name, test := range map[string]struct {
		gate  Gate
		token func(*site) string
		good  bool
	}{
		"as asked":             {plain, claims(nil), true},
		"in other notation":    {plain, claims(map[string]any{"bcid": "bioid.9876.12345"}), true},
		"tries by default":     {plain, task(0x100), true},
		"fewer tries":          {plain, task(0x101), true},
		"with a challenge":     {challenging, task(0x303), true},
		"another app":          {plain, claims(map[string]any{"app": "other"}), false},
		"another person":       {plain, claims(map[string]any{"bcid": bob.String()}), false},
		"a partition":          {plain, claims(map[string]any{"bcid": "bioid/9876/0"}), false},
		"nobody":               {plain, claims(map[string]any{"bcid": nil}), false},
		"to identify":          {plain, task(0x113), false},
		"to enroll":            {plain, task(0x123), false},
		"two kinds":            {plain, task(0x133), false},
		"liveness alone":       {plain, task(0x183), false},
		"no live detection":    {plain, task(0x003), false},
		"a challenge, unasked": {plain, task(0x303), false},
		"no challenge":         {challenging, task(0x103), false},
		"enrolls as well":      {plain, task(0x1103), false},
		"more tries":           {plain, task(0x104), false},
		"as many as possible":  {plain, task(0x10f), false},
		"expired":              {plain, claims(map[string]any{"exp": start.Add(-time.Minute).Unix()}), false},
		"not valid yet":        {plain, claims(map[string]any{"nbf": start.Add(61 * time.Second).Unix()}), false},
		"huge":                 {plain, claims(map[string]any{"x": strings.Repeat("x", 2200)}), false},
		"a person to identify": {identifying, claims(map[string]any{"task": 0x113}), false},
		"another task":         {aliveGate, claims(nil), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.Script("/token", bwstest.Answer{Body: []byte(test.token(s))})
			o := send(t, navigation("/page"), s.gate(t, test.gate))
			if test.good {
				o.sentTo(t)
				return
			}
			o.checkPage(t, http.StatusBadGateway, "service_invalid")
			o.checkNotSet(t)
		})
	}
}

// A client that leaves says nothing about the service.
func TestLoginOfOneWhoLeaves(t *testing.T) {
	s := newSite(t)
	left, leave := context.WithCancel(t.Context())
	leave()
	send(t, navigation("/page").WithContext(left), s.gate(t, loginGate())).sentTo(t)
}

// A login that could not return costs no token.
func TestLoginWithoutKeys(t *testing.T) {
	s := newSite(t)
	faulty := ledgertest.NewFaulty(new(ledgertest.Memory))
	s.service.ledger = ledger.New(ledger.Config{Storage: faulty, ServiceID: s.service.identity, Now: s.service.now})
	faulty.Set(ledgertest.Failing())
	_ = s.service.ledger.Sync(t.Context())
	o := send(t, navigation("/page"), s.gate(t, loginGate()))
	o.checkPage(t, http.StatusServiceUnavailable, "ledger_unavailable")
	s.checkNotBegun(t, o)
}

func TestReportingNeverLogsIn(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, reporting(loginGate(withSession)))
	for _, target := range []string{"/page", "/page?", "/page?access_token=x&state=y"} {
		send(t, navigation(target), g).checkAllowed(t)
	}
	if calls := s.Calls("/token"); calls != 0 {
		t.Errorf("%d tokens were asked for", calls)
	}
}

// A login comes before what deny says; what it does not mend, deny is for.
func TestLoginBesideDeny(t *testing.T) {
	redirecting := loginGate(func(g *Gate) { g.Deny = &Denial{Mode: denyRedirect, To: "/denied"} })
	failing := loginGate(func(g *Gate) { g.Deny = &Denial{Mode: denyError} })
	for name, gate := range map[string]Gate{denyRedirect: redirecting, denyError: failing} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			b := s.browser(t, s.gate(t, gate))
			b.logIn("/page", bwstest.Outcome{}).checkSentOn(t, "/page")
			o := b.visit("/page")
			var failure caddyhttp.HandlerError
			switch name {
			case denyRedirect:
				if o.Code != http.StatusSeeOther || o.Header().Get("Location") != "/denied" {
					t.Errorf("got %d %q", o.Code, o.Header())
				}
			case denyError:
				if !errors.As(o.err, &failure) || failure.StatusCode != http.StatusForbidden || failure.Err.Error() != "bws: not_recognized" {
					t.Errorf("handle_errors gets %v", o.err)
				}
			}
			o.checkPlaceholders(t, map[string]string{"http.bws.reason": "not_recognized", "http.bws.decision": "deny"})
			b.visit("/page?").sentTo(t)
		})
	}
}

// Who cannot be sent anywhere learns where a browser could go.
func TestLoginHint(t *testing.T) {
	rewriting := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		r.URL = &url.URL{Path: "/index.php", RawQuery: "secret=1"}
		return next.ServeHTTP(w, r)
	})
	form := method(http.MethodPost, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
	ui := loginGate(func(g *Gate) { g.Login.UI = "https://app.example/page" })
	odd := get("Sec-Fetch-Mode: cors")
	odd.URL.Path = "//evil.example"
	for name, test := range map[string]struct {
		request *http.Request
		gate    Gate
		hint    string
	}{
		"script":       {get("Sec-Fetch-Mode: cors"), loginGate(), "/page"},
		"form":         {form, loginGate(), "/page"},
		"without":      {get("Sec-Fetch-Mode: cors"), Gate{}, ""},
		"at the UI":    {get("Sec-Fetch-Mode: cors"), ui, ""},
		"an odd path":  {odd, loginGate(), ""},
		"another path": {navigation("/a%20b?x=1", "Sec-Fetch-Mode: cors"), loginGate(), "/a%20b"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			o := send(t, test.request, rewriting, s.gate(t, test.gate))
			o.checkDenied(t, http.StatusUnauthorized, "no_token")
			s.checkNotBegun(t, o)
			if _, got, _ := strings.Cut(o.Body.String(), `"login":`); test.hint == "" && got != "" ||
				test.hint != "" && got != `"`+test.hint+`"}`+"\n" {
				t.Errorf("the hint is %q, want %q", got, test.hint)
			}
		})
	}
}
