package caddybws

import (
	"crypto/tls"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

var vouching = Gate{Assertion: new(Assertion)}

// claims returns what an assertion says, which must be signed with a key that the service serves.
func (s *site) claims(t testing.TB, text string) map[string]any {
	t.Helper()
	signed, err := jose.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	payload, err := signed.Verify(published(t, s.service))
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// assertion returns what the app behind the gates has got in the default header.
func (o *outcome) assertion(t testing.TB) string {
	t.Helper()
	o.checkAllowed(t)
	lines := o.app.Header["X-Bws-Assertion"]
	if len(lines) != 1 {
		t.Fatalf("the app got %d assertions", len(lines))
	}
	return lines[0]
}

// checkNoAssertion checks that the app was told nothing in any spelling of a header.
func (o *outcome) checkNoAssertion(t testing.TB, header string) {
	t.Helper()
	o.checkAllowed(t)
	for name, lines := range o.app.Header {
		if fold(name) == fold(header) {
			t.Errorf("the app got %s: %q", name, lines)
		}
	}
}

func TestAssertion(t *testing.T) {
	s := newSite(t)
	token := s.goodToken()
	at := float64(start.Unix() + 7)
	s.pass(7 * time.Second)
	for name, test := range map[string]struct {
		options Assertion
		edit    func(*http.Request)
		header  string
		want    map[string]any
	}{
		"defaults": {want: map[string]any{
			"iss": "http://app.example", "aud": "app.example", "sub": alice.String(), "iat": at, "nbf": at, "exp": at + 60,
			"act": "verification", "age": 7.0, "live": true, "amr": []any{"face"}, "method": "GET", "path": "/page",
		}},
		"over TLS": {
			edit: func(r *http.Request) { r.TLS = new(tls.ConnectionState) },
			want: map[string]any{"iss": "https://app.example", "aud": "app.example"},
		},
		"a port, and an odd case": {
			edit: func(r *http.Request) { r.Host = "App.Example:8443" },
			want: map[string]any{"iss": "http://app.example:8443", "aud": "app.example"},
		},
		"header":               {options: Assertion{Header: "x-signed"}, header: "X-Signed", want: map[string]any{"aud": "app.example"}},
		"audience":             {options: Assertion{Audience: "urn:app"}, want: map[string]any{"aud": "urn:app"}},
		"audience, per site":   {options: Assertion{Audience: "app:{http.request.host}"}, want: map[string]any{"aud": "app:app.example"}},
		"lifetime":             {options: Assertion{Lifetime: caddy.Duration(5 * time.Second)}, want: map[string]any{"exp": at + 5}},
		"no query":             {edit: func(r *http.Request) { r.URL.RawQuery = "a=1" }, want: map[string]any{"path": "/page"}},
		"another method":       {edit: func(r *http.Request) { r.Method = http.MethodPut }, want: map[string]any{"method": "PUT"}},
		"an escaped path":      {edit: func(r *http.Request) { r.URL, _ = r.URL.Parse("/a%2Fb%20c") }, want: map[string]any{"path": "/a%2Fb%20c"}},
		"what would be markup": {edit: func(r *http.Request) { r.URL.Path = `/"<&>` }, want: map[string]any{"path": "/%22%3C&%3E"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := get("X-BWS-Token: " + token)
			if test.edit != nil {
				test.edit(r)
			}
			o := send(t, r, s.gate(t, Gate{Assertion: &test.options}))
			if test.header != "" {
				o.checkNoAssertion(t, "X-Bws-Assertion")
				o.app.Header["X-Bws-Assertion"] = o.app.Header[test.header]
			}
			got := s.claims(t, o.assertion(t))
			if name == "defaults" && len(got) != len(test.want)+1 {
				t.Errorf("got %v", got)
			}
			for claim, want := range test.want {
				if list, ok := want.([]any); ok {
					if gotList, ok := got[claim].([]any); !ok || !slices.Equal(gotList, list) {
						t.Errorf("%s is %v, want %v", claim, got[claim], want)
					}
				} else if got[claim] != want {
					t.Errorf("%s is %v, want %v", claim, got[claim], want)
				}
			}
		})
	}
}

// A rewrite before the gate does not change what the browser has asked for.
func TestAssertionOfARewrittenRequest(t *testing.T) {
	s := newSite(t)
	rewrite := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		r.Method, r.URL.Path, r.RequestURI = http.MethodPost, "/index.php", "/index.php"
		return next.ServeHTTP(w, r)
	})
	got := s.claims(t, send(t, get("X-BWS-Token: "+s.goodToken()), rewrite, s.gate(t, vouching)).assertion(t))
	if got["method"] != "GET" || got["path"] != "/page" {
		t.Errorf("got %v %v", got["method"], got["path"])
	}
}

// In a session, what is said is the same but for its times; and nobody is told of anybody else.
func TestAssertionInASession(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{Assertion: new(Assertion), Session: &Session{}})
	token := s.goodToken()
	first := send(t, get("X-BWS-Token: "+token), g)
	cookie := first.session(t)
	if send(t, get(cookie), g).assertion(t) != first.assertion(t) {
		t.Error("the session has another assertion than its token")
	}
	s.pass(30 * time.Second)
	second := send(t, get(cookie), g).assertion(t)
	before, after := s.claims(t, first.assertion(t)), s.claims(t, second)
	if second == first.assertion(t) || after["age"] != 30.0 || after["iat"] != before["iat"].(float64)+30 || after["jti"] == before["jti"] {
		t.Errorf("first %v, then %v", before, after)
	}
	for _, claim := range []string{"iss", "aud", "sub", "act", "live", "method", "path"} {
		if before[claim] != after[claim] {
			t.Errorf("%s was %v and is %v", claim, before[claim], after[claim])
		}
	}
	bobs := send(t, get("X-BWS-Token: "+s.tokenOfBob()), g).assertion(t)
	if got := s.claims(t, bobs)["sub"]; got != bob.String() {
		t.Errorf("Bob's request is said to be of %v", got)
	}
	again := send(t, get("X-BWS-Token: "+s.goodToken()), g).assertion(t)
	if again == second {
		t.Error("two sessions of Alice share an assertion")
	}
	for name, r := range map[string]*http.Request{
		"host":   httptest.NewRequest(http.MethodGet, "http://other.example/page", nil),
		"method": httptest.NewRequest(http.MethodDelete, "http://app.example/page", nil),
		"path":   httptest.NewRequest(http.MethodGet, "http://app.example/other", nil),
	} {
		r.Header.Set("X-BWS-Token", token)
		if send(t, r, g).assertion(t) == second {
			t.Errorf("the assertion is used for another %s", name)
		}
	}
}

// Nobody is named, or nobody is authenticated.
func TestAssertionOfOtherOperations(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{Assertion: new(Assertion), Allow: []bws.Action{bws.LiveDetection, bws.Enrollment}})
	for name, test := range map[string]struct {
		spec bwstest.TokenSpec
		sub  any
	}{
		"livenessdetection": {bwstest.TokenSpec{Task: bws.TaskLiveOnly | 3}, nil},
		"enrollment":        {bwstest.TokenSpec{Task: bws.TaskEnroll | bws.TaskLiveDetect | 3, BCID: alice}, alice.String()},
	} {
		token := s.Token(test.spec)
		s.Perform(token, bwstest.Outcome{Success: true})
		got := s.claims(t, send(t, get("X-BWS-Token: "+token), g).assertion(t))
		if got["act"] != name || got["sub"] != test.sub || got["amr"] != nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// Whatever a client sends in the place of an assertion reaches no app, at any gate and whatever it decides.
func TestForgedAssertion(t *testing.T) {
	s := newSite(t)
	forged := []string{
		"X-BWS-Assertion: f", "x_bws_assertion: f", "X.Bws_Assertion: f", "X-BWS-Assertion: g", "Connection: close, X_BWS-Assertion",
		"Trailer: X-BWS-Assertion", "X-Signed: f", "x_signed: f",
	}
	request := func(headers ...string) *http.Request {
		r := get(headers...)
		for _, line := range forged {
			name, value, _ := strings.Cut(line, ": ")
			r.Header[name] = append(r.Header[name], value)
		}
		return r
	}
	good := "X-BWS-Token: " + s.goodToken()
	own := Assertion{Header: "X-Signed"}
	for name, test := range map[string]struct {
		gates   []Gate
		headers []string
		// genuine are the headers in which the app must get an assertion.
		genuine []string
	}{
		"allowed":                     {[]Gate{{Assertion: new(Assertion)}}, []string{good}, []string{"X-Bws-Assertion"}},
		"allowed without an option":   {[]Gate{{}}, []string{good}, nil},
		"identity headers off":        {[]Gate{{IdentityHeaders: http.Header{}}}, []string{good}, nil},
		"other identity headers":      {[]Gate{{IdentityHeaders: http.Header{"Remote-User": {"x"}}}}, []string{good}, nil},
		"a header of its own":         {[]Gate{{Assertion: &own}}, []string{good}, []string{"X-Signed"}},
		"reported":                    {[]Gate{{Assertion: &own, ReportOnly: true}}, []string{good}, nil},
		"reported to be denied":       {[]Gate{{Assertion: &own, ReportOnly: true}}, nil, nil},
		"reported, without an option": {[]Gate{{ReportOnly: true}}, nil, nil},
		"a later gate makes it anew":  {[]Gate{{Assertion: new(Assertion)}, {Assertion: new(Assertion)}}, []string{good}, []string{"X-Bws-Assertion"}},
		"a later gate keeps it":       {[]Gate{{Assertion: new(Assertion)}, {}}, []string{good}, []string{"X-Bws-Assertion"}},
		"a later gate has another":    {[]Gate{{Assertion: new(Assertion)}, {Assertion: &own}}, []string{good}, []string{"X-Bws-Assertion", "X-Signed"}},
		"a later gate reports":        {[]Gate{{Assertion: new(Assertion)}, {ReportOnly: true}}, []string{good}, []string{"X-Bws-Assertion"}},
		"a later gate withdraws it": {
			[]Gate{{Assertion: new(Assertion)}, {Require: "challenge", ReportOnly: true}, {}}, []string{good}, nil,
		},
		"a later gate would deny": {
			[]Gate{{Assertion: &own}, {Require: "challenge", ReportOnly: true}}, []string{good}, nil,
		},
		"an earlier gate would deny": {
			[]Gate{{Require: "challenge", ReportOnly: true}, {Assertion: &own}}, []string{good}, []string{"X-Signed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var handlers []caddyhttp.MiddlewareHandler
			knowsOwn := false
			for _, g := range test.gates {
				handlers = append(handlers, s.gate(t, g))
				knowsOwn = knowsOwn || g.Assertion == &own
			}
			o := send(t, request(test.headers...), handlers...)
			o.checkAllowed(t)
			for name, lines := range o.app.Header {
				switch {
				case slices.Contains(test.genuine, name):
					if len(lines) != 1 || s.claims(t, lines[0])["sub"] != alice.String() {
						t.Errorf("the app got %s: %q", name, lines)
					}
				case fold(name) == "x-bws-assertion", fold(name) == "x-signed" && knowsOwn:
					t.Errorf("the app got %s: %q", name, lines)
				case name == "Connection" && !slices.Equal(lines, []string{"close"}), name == "Trailer":
					t.Errorf("the app got %s: %q", name, lines)
				}
			}
			for _, name := range test.genuine {
				if o.app.Header[name] == nil {
					t.Errorf("the app got no %s", name)
				}
			}
		})
	}
	// What answers in the place of the app sees none, either: an error route, and whoever looks at the request later.
	for name, g := range map[string]Gate{
		"denied": {Deny: &Denial{Mode: denyError}}, "login": {Login: &Login{}, BCID: []string{alice.String()}},
	} {
		r := request()
		var seen http.Header
		watch := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
			defer func() { seen = r.Header.Clone() }()
			return next.ServeHTTP(w, r)
		})
		if o := send(t, r, watch, s.gate(t, g)); o.app != nil {
			t.Fatalf("%s: the app was reached", name)
		}
		for _, header := range slices.Collect(maps.Keys(seen)) {
			if fold(header) == "x-bws-assertion" {
				t.Errorf("%s: left is %s", name, header)
			}
		}
	}
}

// A request for which no assertion can be made does not pass: the app could not tell it from a forged one.
func TestNoAssertionNoWay(t *testing.T) {
	s := newStoredSite(t)
	s.faulty.Set(ledgertest.Failing())
	s.service.useLedger(t, ledger.New(ledger.Config{Storage: s.faulty, ServiceID: s.service.identity, Now: s.service.now}))
	_ = s.service.ledger.Sync(t.Context())
	token := "X-BWS-Token: " + s.goodToken()
	o := send(t, get(token), s.gate(t, vouching))
	o.checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
	o.checkPlaceholders(t, map[string]string{"http.bws.decision": "deny", "http.bws.bcid": "", "http.auth.user.id": ""})
	send(t, get(token), s.gate(t, Gate{})).checkAllowed(t)
	reporting := vouching
	reporting.ReportOnly = true
	send(t, get(token), s.gate(t, reporting)).checkNoAssertion(t, "X-Bws-Assertion")
	send(t, get(), s.gate(t, vouching)).checkDenied(t, http.StatusUnauthorized, "no_token")

	s.faulty.Set(ledgertest.Fault{})
	s.pass(time.Minute)
	s.sync(t)
	send(t, get(token), s.gate(t, vouching)).assertion(t)
}

func TestAssertionWithoutAudience(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{Assertion: &Assertion{Audience: "{http.request.header.X-App}"}})
	token := "X-BWS-Token: " + s.goodToken()
	send(t, get(token), g).checkDenied(t, http.StatusInternalServerError, "internal_error")
	if got := s.claims(t, send(t, get(token, "X-App: shop"), g).assertion(t)); got["aud"] != "shop" {
		t.Errorf("got %v", got)
	}
}

func TestCheckAssertion(t *testing.T) {
	score := 0.7
	for name, test := range map[string]struct {
		gate Gate
		want string
	}{
		"no header name":       {Gate{Assertion: &Assertion{Header: "a b"}}, "assertion: \"a b\" is not a header name"},
		"framing":              {Gate{Assertion: &Assertion{Header: "content-length"}}, "Content-Length has a meaning of its own"},
		"cookies":              {Gate{Assertion: &Assertion{Header: "Cookie"}}, "Cookie has a meaning of its own"},
		"credentials":          {Gate{Assertion: &Assertion{Header: "authorization"}}, "Authorization has a meaning of its own"},
		"a default header":     {Gate{Assertion: &Assertion{Header: "X_BWS_Bcid"}}, "is an identity header's name too"},
		"though headers off":   {Gate{Assertion: &Assertion{Header: "X-BWS-Score"}, IdentityHeaders: http.Header{}}, "is an identity header's name too"},
		"an identity header":   {Gate{Assertion: &Assertion{Header: "Remote-User"}, IdentityHeaders: http.Header{"Remote_user": {"x"}}}, "is an identity header's name too"},
		"the default as one":   {Gate{Assertion: new(Assertion), IdentityHeaders: http.Header{"X-Bws-Assertion": {"x"}}}, "is an identity header's name too"},
		"a token's header":     {Gate{Assertion: &Assertion{Header: "X-Mine"}, Token: []TokenSource{{Header: "x-mine"}}}, "is where a token is looked for"},
		"the default token's":  {Gate{Assertion: &Assertion{Header: "x_bws_token"}}, "is where a token is looked for"},
		"with other sources":   {Gate{Assertion: &Assertion{Header: "X-BWS-Token"}, Token: []TokenSource{{Cookie: "t"}}}, "is where a token is looked for"},
		"a token in our place": {Gate{Token: []TokenSource{{Header: "X-BWS-Assertion"}}}, "is an identity header's name too"},
		"too short":            {Gate{Assertion: &Assertion{Lifetime: caddy.Duration(5*time.Second - 1)}}, "assertion: lifetime: 4.999999999s is out of bounds: use 5s to 10m0s"},
		"too long":             {Gate{Assertion: &Assertion{Lifetime: caddy.Duration(10*time.Minute + 1)}}, "use 5s to 10m0s"},
		"negative":             {Gate{Assertion: &Assertion{Lifetime: -1}}, "use 5s to 10m0s"},
		"fine": {Gate{
			Assertion: &Assertion{Header: "X-Signed", Audience: "app", Lifetime: caddy.Duration(10 * time.Minute)},
			Allow:     []bws.Action{bws.Identification}, MinScore: &score, ReportOnly: true,
		}, ""},
	} {
		err := test.gate.check()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
