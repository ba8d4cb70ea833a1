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
	} {
		if err := test.gate.check(); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestCheckRedirect(t *testing.T) {
	for _, to := range []string{"/login", "/", "/a?b=c#d", "https://login.example", "http://login.example:8080/a?b"} {
		if err := checkRedirect(to); err != nil {
			t.Errorf("%q: %v", to, err)
		}
	}
	for _, to := range []string{ // security case 65
		"", "login", "//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, "https:evil.example", "https:/evil.example",
		"https://", "javascript:alert(1)", "data:text/html,x", "ftp://evil.example", "/\tevil", "?a", "#a", "mailto:a@b.example",
	} {
		if checkRedirect(to) == nil {
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
