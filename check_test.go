package caddybws

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws"
)

func TestCheckRefuses(t *testing.T) {
	one, above, nan := 1.0, math.Nextafter(1, 2), math.NaN()
	for name, test := range map[string]struct {
		gate Gate
		want string
	}{
		"service":                     {Gate{Service: "a b"}, "service name"},
		"empty source":                {Gate{Token: []TokenSource{{}}}, "token: each source is exactly one"},
		"two sources in one":          {Gate{Token: []TokenSource{{Cookie: "a", Header: "b"}}}, "token: each source is exactly one"},
		"bearer and cookie":           {Gate{Token: []TokenSource{{Bearer: true, Cookie: "a"}}}, "token: each source is exactly one"},
		"odd cookie":                  {Gate{Token: []TokenSource{{Cookie: "a;b"}}}, "token: cookie a;b: not a valid name"},
		"odd header":                  {Gate{Token: []TokenSource{{Header: "a b"}}}, "token: header a b: not a valid name"},
		"Authorization":               {Gate{Token: []TokenSource{{Header: "authorization"}}}, "token: header Authorization: use bearer"},
		"Cookie":                      {Gate{Token: []TokenSource{{Header: "cookie"}}}, "token: header Cookie: use cookie"},
		"header with a meaning":       {Gate{Token: []TokenSource{{Header: "host"}}}, "token: header Host has a meaning"},
		"header twice":                {Gate{Token: []TokenSource{{Header: "X-A"}, {Header: "x-a"}}}, "token: header x-a is named twice"},
		"cookie twice":                {Gate{Token: []TokenSource{{Cookie: "a"}, {Cookie: "a"}}}, "token: cookie a is named twice"},
		"bearer twice":                {Gate{Token: []TokenSource{{Bearer: true}, {Bearer: true}}}, "token: bearer is named twice"},
		"unknown action":              {Gate{Allow: []bws.Action{"verify"}}, "allow: unknown action"},
		"empty action":                {Gate{Allow: []bws.Action{""}}, "allow: unknown action"},
		"action twice":                {Gate{Allow: []bws.Action{bws.Verification, bws.Verification}}, "allow: verification is named twice"},
		"pattern":                     {Gate{BCID: []string{"bioid/1/0"}}, `bcid "bioid/1/0"`},
		"bcid with enrollment":        {Gate{Allow: []bws.Action{bws.Enrollment}, BCID: []string{"*/*/*"}}, "bcid: enrollment"},
		"bcid with liveness":          {Gate{Allow: []bws.Action{bws.LiveDetection}, BCID: []string{"*/*/*"}}, "bcid: livenessdetection"},
		"identification and no score": {Gate{Allow: []bws.Action{bws.Identification}}, "min_score is required"},
		"score above 1":               {Gate{MinScore: &above}, "min_score: 1.0000000000000002 is out of bounds"},
		"score not a number":          {Gate{MinScore: &nan}, "min_score: NaN is out of bounds"},
		"margin below 0":              {Gate{MinScore: &one, MinMargin: -0.1}, "min_margin: -0.1 is out of bounds"},
		"age below 1s":                {Gate{MaxAge: caddy.Duration(time.Second - 1)}, "max_age: 999.999999ms is out of bounds"},
		"age above 24h":               {Gate{MaxAge: caddy.Duration(24*time.Hour + 1)}, "max_age: 24h0m0.000000001s is out of bounds"},
		"negative age":                {Gate{MaxAge: -1}, "max_age: -1ns is out of bounds"},
		"requirement":                 {Gate{Require: "live"}, `require: unknown value "live"`},
		"mode":                        {Gate{Deny: &Denial{Mode: "drop"}}, `deny: unknown mode "drop"`},
		"URL without redirect":        {Gate{Deny: &Denial{To: "/a"}}, "deny: only redirect takes a URL"},
		"URL with error":              {Gate{Deny: &Denial{Mode: denyError, To: "/a"}}, "deny: only redirect takes a URL"},
		"redirect to nowhere":         {Gate{Deny: &Denial{Mode: denyRedirect}}, "deny redirect: the URL is missing"},
		"token in an identity header": {Gate{Token: []TokenSource{{Header: "x_bws.bcid"}}}, "token: header x_bws.bcid is an identity header"},
		"default token header":        {Gate{IdentityHeaders: http.Header{"X_BWS_Token": {"x"}}}, "token: header X-BWS-Token is an identity"},
		"bearer, overwritten": {
			Gate{Token: []TokenSource{{Bearer: true}}, IdentityHeaders: http.Header{"Authorization": {"x"}}},
			"token: bearer is an identity header",
		},
		"identity header": {Gate{IdentityHeaders: http.Header{"Cookie": {"a=1"}}}, "identity_headers: Cookie has a meaning"},

		"empty method":         {Gate{Once: &Once{Methods: []string{""}}}, `once: "" is not a method`},
		"method in lower case": {Gate{Once: &Once{Methods: []string{"POST", "put"}}}, `once: "put" is not a method`},
		"odd method":           {Gate{Once: &Once{Methods: []string{"P T"}}}, `once: "P T" is not a method`},
		"method twice":         {Gate{Once: &Once{Methods: []string{"PUT", "POST", "PUT"}}}, "once: PUT is named twice"},

		"session below 1m":   {Gate{Session: &Session{Lifetime: caddy.Duration(time.Minute - 1)}}, "session: 59.999999999s is out of bounds"},
		"session above 720h": {Gate{Session: &Session{Lifetime: caddy.Duration(720*time.Hour + 1)}}, "session: 720h0m0.000000001s is out of"},
		"negative session":   {Gate{Session: &Session{Lifetime: -1}}, "session: -1ns is out of bounds"},
		"idle below 1s":      {Gate{Session: &Session{Idle: caddy.Duration(time.Second - 1)}}, "session: idle: 999.999999ms is out of bounds"},
		"idle above 720h":    {Gate{Session: &Session{Idle: caddy.Duration(720*time.Hour + 1)}}, "session: idle: 720h0m0.000000001s is out of"},
		"negative idle":      {Gate{Session: &Session{Idle: -1}}, "session: idle: -1ns is out of bounds"},
		"idle above the default lifetime": {
			Gate{Session: &Session{Idle: caddy.Duration(15*time.Minute + 1)}},
			"session: idle: 15m0.000000001s is longer than the session's lifetime of 15m0s",
		},
		"idle above the lifetime": {
			Gate{Session: &Session{Lifetime: caddy.Duration(time.Minute), Idle: caddy.Duration(time.Minute + 1)}},
			"session: idle: 1m0.000000001s is longer than the session's lifetime of 1m0s",
		},
		"odd session cookie":      {Gate{Session: &Session{Cookie: "a b"}}, `session: cookie: "a b" is not a valid name`},
		"unknown same_site":       {Gate{Session: &Session{SameSite: "none"}}, `session: same_site: unknown value "none"`},
		"same_site in upper case": {Gate{Session: &Session{SameSite: "Lax"}}, `session: same_site: unknown value "Lax"`},
		"session cookie is a token's": {
			Gate{Token: []TokenSource{{Bearer: true}, {Cookie: "a"}}, Session: &Session{Cookie: "a"}},
			"session: cookie: a is a token's cookie",
		},
		"once and session": {Gate{Once: &Once{}, Session: &Session{}}, "once and session exclude each other"},
	} {
		if err := test.gate.check(); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestCheckRedirect(t *testing.T) {
	for _, to := range []string{"/login", "/", "/a?b=c#d", "https://login.example", "http://login.example:8080/a?b"} {
		if err := checkResolvedRedirect("to", to, to); err != nil {
			t.Errorf("%q: %v", to, err)
		}
	}
	for _, to := range []string{ // security case 65
		"", "login", "//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, "https:evil.example", "https:/evil.example",
		"https://", "javascript:alert(1)", "data:text/html,x", "ftp://evil.example", "/\tevil", "?a", "#a", "mailto:a@b.example",
	} {
		if checkResolvedRedirect("to", to, to) == nil {
			t.Errorf("%q is accepted", to)
		}
	}
}

// provisionGate provisions a gate as a configuration in JSON does.
func provisionGate(t *testing.T, config string) (*Gate, error) {
	t.Helper()
	ctx, err := provisionApp(t, `{"services":{"default":{"app_id":"a","app_secret":"s"},"eu":{"app_id":"b","app_secret":"s"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	g := new(Gate)
	if err := json.Unmarshal([]byte(config), g); err != nil {
		t.Fatal(err)
	}
	return g, g.Provision(ctx)
}

func TestProvisionGate(t *testing.T) {
	g, err := provisionGate(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	p := g.policy
	if g.service.client.AppID() != "a" || !slices.Equal(p.Allow, []bws.Action{bws.Verification}) || p.Bound || p.MaxAge != 0 ||
		p.Require != "live_detection" || !g.identity.defaults || g.redirectTo != "" {
		t.Errorf("the defaults are %+v", g)
	}

	g, err = provisionGate(t, `{"service":"eu","token":[{"bearer":true}],"allow":["identification"],"bcid":["*/1/*"],"min_score":0.7,
		"min_margin":0.1,"max_age":"2m","require":"challenge","deny":{"mode":"redirect","to":"/login"},"identity_headers":{}}`)
	if err != nil {
		t.Fatal(err)
	}
	p = g.policy
	if g.service.client.AppID() != "b" || !slices.Equal(p.Allow, []bws.Action{bws.Identification}) || !p.Bound || p.MinScore != 0.7 ||
		p.MinMargin != 0.1 || p.MaxAge != 2*time.Minute || p.Require != "challenge" || g.redirectTo != "/login" || g.identity.defaults ||
		!slices.Equal(g.secureSources, []TokenSource{{Bearer: true}}) || g.secureVary != "Authorization" {
		t.Errorf("the gate is %+v", g)
	}

	for config, want := range map[string]string{
		`{"service":"none"}`: `no service "none" is configured`,
		`{"require":"live"}`: "require: ",
		`{"deny":{"mode":"redirect","to":"{env.BWS_TEST_UNSET}"}}`: "is empty",
	} {
		if _, err := provisionGate(t, config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", config, err, want)
		}
	}
}

// The handlers' JSON is refused as Caddy loads it, also where the Caddyfile could not say the same.
func TestLoadHandlerRefuses(t *testing.T) {
	ctx, err := provisionApp(t, `{"services":{"default":{"app_id":"a","app_secret":"s"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BWS_TEST_RELATIVE", "bye")
	for _, test := range []struct{ handler, config, want string }{
		{"bws", `{}`, ""},
		{"bws", `{"once":null,"session":null}`, ""},
		{"bws", `{"once":{"methods":null}}`, ""},
		{"bws", `{"once":{"methods":[]}}`, ""},
		{"bws", `{"once":{"methods":["POST"]},"session":null}`, ""},
		{"bws", `{"once":{"methods":[""]}}`, `once: "" is not a method`},
		{"bws", `{"once":{"methods":[null]}}`, `once: "" is not a method`},
		{"bws", `{"once":{"methods":"POST"}}`, "methods"},
		{"bws", `{"once":{"method":["POST"]}}`, `unknown field "method"`},
		{"bws", `{"once":true}`, "once"},
		{"bws", `{"once":{},"session":{}}`, "once and session exclude each other"},
		{"bws", `{"session":{}}`, ""},
		{"bws", `{"session":{"lifetime":0,"idle":0,"cookie":"","same_site":""}}`, ""},
		{"bws", `{"session":{"lifetime":"720h","idle":"720h"}}`, ""},
		{"bws", `{"session":{"lifetime":"1m","idle":"1m"}}`, ""},
		{"bws", `{"session":{"lifetime":"59s"}}`, "session: 59s is out of bounds: use 1m0s to 720h0m0s"},
		{"bws", `{"session":{"lifetime":"31d"}}`, "session: 744h0m0s is out of bounds: use 1m0s to 720h0m0s"},
		{"bws", `{"session":{"lifetime":-1}}`, "session: -1ns is out of bounds"},
		{"bws", `{"session":{"lifetime":900}}`, "session: 900ns is out of bounds"}, // which was meant as seconds
		{"bws", `{"session":{"lifetime":"900"}}`, "unit"},
		{"bws", `{"session":{"idle":"1ms"}}`, "session: idle: 1ms is out of bounds: use 1s to 720h0m0s"},
		{"bws", `{"session":{"idle":"-1m"}}`, "session: idle: -1m0s is out of bounds"},
		{"bws", `{"session":{"idle":"20m"}}`, "session: idle: 20m0s is longer than the session's lifetime of 15m0s"},
		{"bws", `{"session":{"cookie":"a=b"}}`, `session: cookie: "a=b" is not a valid name`},
		{"bws", `{"session":{"cookie":"{env.HOME}"}}`, `session: cookie: "{env.HOME}" is not a valid name`},
		{"bws", `{"session":{"same_site":"none"}}`, `session: same_site: unknown value "none": use lax or strict`},
		{"bws", `{"session":{"same_site":"Strict"}}`, `session: same_site: unknown value "Strict"`},
		{"bws", `{"session":{"sameSite":"strict"}}`, `unknown field "sameSite"`},
		{"bws", `{"session":"15m"}`, "session"},

		{"bws_logout", `{}`, ""},
		{"bws_logout", `{"service":"","redirect":"","cookie":""}`, ""},
		{"bws_logout", `{"service":null,"redirect":null,"cookie":null}`, ""},
		{"bws_logout", `{"service":"default","redirect":"https://www.example.com/","cookie":"person"}`, ""},
		{"bws_logout", `{"service":"a b"}`, `service name "a b": use letters`},
		{"bws_logout", `{"service":"eu"}`, `no service "eu" is configured`},
		{"bws_logout", `{"redirect":"bye"}`, `redirect: "bye" is neither an http or https URL nor a path`},
		{"bws_logout", `{"redirect":"{env.BWS_TEST_RELATIVE}"}`, `redirect: "{env.BWS_TEST_RELATIVE}" is neither an http or https URL`},
		{"bws_logout", `{"redirect":"{env.BWS_TEST_UNSET}"}`, "redirect: evaluated placeholder {env.BWS_TEST_UNSET} is empty"},
		{"bws_logout", `{"redirect":"/{http.request.host}"}`, "redirect: holds an unknown placeholder"},
		{"bws_logout", `{"cookie":"a b"}`, `cookie: "a b" is not a valid name`},
		{"bws_logout", `{"redirect":["/bye"]}`, "redirect"},
		{"bws_logout", `{"redirect_to":"/bye"}`, `unknown field "redirect_to"`},
	} {
		_, err := ctx.LoadModuleByID("http.handlers."+test.handler, json.RawMessage(test.config))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: got %v, want %q", test.handler, test.config, err, test.want)
		}
	}
}

func TestWarn(t *testing.T) {
	for name, test := range map[string]struct {
		gate Gate
		want []string
	}{
		"anyone":          {Gate{}, []string{"no bcid"}},
		"somebody":        {Gate{BCID: []string{"*/1/*"}}, nil},
		"whoever enrolls": {Gate{Allow: []bws.Action{bws.Enrollment}}, nil},
		"a photograph":    {Gate{Allow: []bws.Action{bws.Enrollment}, Require: "none"}, []string{"require none"}},
		"both":            {Gate{Require: "none"}, []string{"no bcid", "require none"}},
		"anyone, once":    {Gate{Once: &Once{}}, nil},
		"a session":       {Gate{BCID: []string{"*/1/*"}, Session: &Session{}}, []string{"sessions on a plain-http site"}},
	} {
		core, logs := observer.New(zap.WarnLevel)
		g := newSite(t).gate(t, test.gate)
		g.logger = zap.New(core)
		g.warn(true)
		var got []string
		for _, line := range logs.All() {
			message, _, _ := strings.Cut(line.Message, ":")
			got = append(got, message)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
