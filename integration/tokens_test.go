package integration

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// What is no token is denied without a question, and a token is sent as it came.
func TestTokensThatAreNone(t *testing.T) {
	s := startSite(t, "", "\tbws /plain*\n\tbws /bearer* {\n\t\ttoken bearer\n\t}")
	token := s.goodToken()
	header, payload, signature := split(token)
	again := base64.RawURLEncoding.EncodeToString
	claims := func(edit string) string {
		decoded, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			t.Fatal(err)
		}
		return header + "." + again([]byte(strings.TrimSuffix(string(decoded), "}")+edit+"}")) + "." + signature
	}
	for _, test := range []struct {
		name, path string
		headers    []string
		reason     string
	}{
		{"security case 31: bad base64", "/plain", []string{"Cookie: bws_token=a.b!.c"}, "malformed_token"},
		{"security case 31: an escape", "/plain", []string{"Cookie: bws_token=%zz"}, "malformed_token"},
		{"security case 31: quotes", "/plain", []string{`Cookie: bws_token="` + token + `"`}, "malformed_token"},
		{"security case 31: padding", "/plain", []string{"Cookie: bws_token=" + token + "="}, "malformed_token"},
		{"security case 33: any text", "/plain", []string{"X-BWS-Token: x"}, "malformed_token"},
		{"security case 34: two cookies", "/plain", []string{"Cookie: bws_token=" + token + "; bws_token=x"}, "ambiguous_token"},
		{"security case 34: two lines", "/plain", []string{"Cookie: bws_token=x", "Cookie: bws_token=" + token}, "ambiguous_token"},
		{"security case 8: two headers", "/plain", []string{"X-BWS-Token: " + token, "X-BWS-Token: x"}, "ambiguous_token"},
		{"security case 8: two bearers", "/bearer", []string{"Authorization: Bearer x", "Authorization: Bearer " + token},
			"ambiguous_token"},
		{"security case 38: empty", "/plain", []string{"X-BWS-Token:"}, "no_token"},
		{"security case 38: one byte", "/plain", []string{"X-BWS-Token: a"}, "malformed_token"},
		{"security case 38: 8 KB", "/plain", []string{"X-BWS-Token: " + strings.Repeat("e30.", 2048)}, "malformed_token"},
		{"security case 38: a second parameter", "/plain", []string{"X-BWS-Token: " + token + "&access_token=x"}, "malformed_token"},
		{"security case 38: a fragment", "/plain", []string{"X-BWS-Token: " + token + "#"}, "malformed_token"},
		{"security case 38: another path", "/plain", []string{"X-BWS-Token: ../" + token}, "malformed_token"},
		{"security case 38: NUL", "/plain", []string{"X-BWS-Token: " + token + "%00"}, "malformed_token"},
		{"security case 39: in the query", "/plain?access_token=" + token + "&bws_token=" + token, nil, "no_token"},
		{"security case 40: an empty bearer", "/bearer", []string{"Authorization: Bearer "}, "no_token"},
		{"security case 40: lower case, empty", "/bearer", []string{"Authorization: bearer"}, "no_token"},
		{"security case 40: basic", "/bearer", []string{"Authorization: Basic " + again([]byte(token))}, "no_token"},
		{"security case 40: not a source", "/plain", []string{"Authorization: Bearer " + token}, "no_token"},
		{"security case 111: no algorithm", "/plain", []string{"X-BWS-Token: " + again([]byte(`{"alg":"none"}`)) + "." + payload + "." + signature},
			"malformed_token"},
		{"security case 111: no signature", "/plain", []string{"X-BWS-Token: " + header + "." + payload + "."}, "malformed_token"},
		{"security case 111: a claim twice", "/plain", []string{"X-BWS-Token: " + claims(`,"exp":4102444800`)}, "malformed_token"},
		{"security case 42: another application", "/plain", []string{"X-BWS-Token: " +
			bwstest.New(bwstest.Config{AppID: "another"}).Token(bwstest.TokenSpec{BCID: alice})}, "foreign_token"},
		{"security case 114: long expired", "/plain", []string{"X-BWS-Token: " +
			s.service.Token(bwstest.TokenSpec{BCID: alice, NotBefore: time.Now().Add(-12 * time.Minute)})}, "expired_token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			covers(t)
			calls := s.service.Calls("/result")
			s.checkKeptOut(t, s.raw(t, "GET "+test.path+" HTTP/1.1", test.headers...), test.reason)
			if asked := s.service.Calls("/result") - calls; asked > 0 {
				t.Errorf("BWS was asked %d times", asked)
			}
		})
	}
}

// Claims that only the signature could vouch for are put to BWS, which knows.
func TestForgedClaims(t *testing.T) {
	s := startSite(t, "", "\tbws")
	token := s.goodToken()
	header, payload, signature := split(token)
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"security case 111: another person": {"/12345", "/12346"},
		"security case 111: more tries":     {`"task":259`, `"task":271`},
		"security case 111: another client": {`"clnt":"`, `"clnt":"x`},
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			edited := strings.Replace(string(decoded), edit[0], edit[1], 1)
			if edited == string(decoded) {
				t.Fatalf("the claims %s have no %s", decoded, edit[0])
			}
			forged := header + "." + base64.RawURLEncoding.EncodeToString([]byte(edited)) + "." + signature
			s.checkKeptOut(t, s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+forged), "rejected_token")
		})
	}
	t.Run("security case 113: no live detection", func(t *testing.T) {
		covers(t)
		weak := performed(s.service.Service, bwstest.TokenSpec{BCID: alice, Task: bws.TaskVerify | 3}, success)
		s.checkKeptOut(t, s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+weak), "not_live")
	})
	t.Run("security case 113: enrolls on the way", func(t *testing.T) {
		covers(t)
		weak := performed(s.service.Service, bwstest.TokenSpec{BCID: alice, Task: bwstest.DefaultTask | bws.TaskAutoEnroll}, success)
		s.checkKeptOut(t, s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+weak), "action_not_allowed")
	})
}

// Security cases 38 and 97: BWS gets one parameter, the very same bytes, and our credentials once.
func TestWhatTheServiceGets(t *testing.T) {
	covers(t, 38, 97)
	s := startSite(t, "", "\tbws")
	token := s.goodToken()
	s.raw(t, "GET /page?access_token=x HTTP/1.1", "Cookie: a=1; bws_token="+token+"; b=2", "Authorization: Basic eDp5", "X-Other: secret")
	s.reached(t)
	got := s.service.LastRequest("/result")
	if len(got.Query) != 1 || !slices.Equal(got.Query["access_token"], []string{token}) || strings.Count(got.RawQuery, "access_token") != 1 {
		t.Errorf("the query is %s", got.RawQuery)
	}
	if len(got.Header["Authorization"]) != 1 || got.Header.Get("Authorization") != "Basic "+basicAuth(bwstest.AppID, bwstest.AppSecret) {
		t.Errorf("the credentials are %q", got.Header["Authorization"])
	}
	for name := range got.Header {
		if !slices.Contains([]string{"Accept", "Authorization", "User-Agent"}, name) {
			t.Errorf("BWS gets %s: %q", name, got.Header[name])
		}
	}
}
