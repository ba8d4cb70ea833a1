package integration

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// A token is taken from where it was said to be, under just that name, and from the first place that has one: what is bad there
// is not made up for by something good elsewhere.
func TestWhichTokenCounts(t *testing.T) {
	s := startSite(t, "", `	bws /bearer* {
		token bearer
		token cookie bws_token
	}
	bws /plain*`)
	for _, test := range []struct {
		name, path string
		headers    func(token string) []string
		reason     string // "" if the request passes
	}{
		{"security case 8: a bad cookie, a good header", "/plain", func(token string) []string {
			return []string{"Cookie: bws_token=x", "X-BWS-Token: " + token}
		}, "malformed_token"},
		{"security case 8: a good cookie, a bad header", "/plain", func(token string) []string {
			return []string{"Cookie: bws_token=" + token, "X-BWS-Token: x"}
		}, ""},
		{"security case 8: an empty cookie, a good header", "/plain", func(token string) []string {
			return []string{"Cookie: bws_token=; a=1", "X-BWS-Token: " + token}
		}, ""},
		{"security case 8: a bad bearer, a good cookie", "/bearer", func(token string) []string {
			return []string{"Authorization: Bearer x", "Cookie: bws_token=" + token}
		}, "malformed_token"},
		{"security case 8: a list of two", "/plain", func(token string) []string {
			return []string{"X-BWS-Token: " + token + ", " + token}
		}, "malformed_token"},
		{"security case 8: the same twice", "/plain", func(token string) []string {
			return []string{"X-BWS-Token: " + token, "X-BWS-Token: " + token}
		}, ""},
		{"security case 34: another case of the cookie", "/plain", func(token string) []string {
			return []string{"Cookie: BWS_token=" + token}
		}, "no_token"},
		{"security case 34: the name within a value", "/plain", func(token string) []string {
			return []string{"Cookie: a=bws_token=" + token}
		}, "no_token"},
		{"security case 34: a cookie of any path", "/plain", func(token string) []string {
			return []string{`Cookie: $Version="1"; $bws_token=` + token}
		}, "no_token"},
		{"security case 34: two, one of them empty", "/plain", func(token string) []string {
			return []string{"Cookie: bws_token=; bws_token=" + token}
		}, ""},
		{"security case 34: a comma between cookies", "/plain", func(token string) []string {
			return []string{"Cookie: a=1, bws_token=" + token}
		}, "no_token"},
		{"security case 38: a space within", "/plain", func(token string) []string {
			return []string{"X-BWS-Token: " + token[:20] + " " + token[20:]}
		}, "malformed_token"},
		{"security case 38: a folded line", "/plain", func(token string) []string {
			return []string{"X-BWS-Token: " + token[:20] + "\n " + token[20:]}
		}, "malformed_token"},
		{"security case 40: several spaces, lower case", "/bearer", func(token string) []string {
			return []string{"Authorization: bearer    " + token}
		}, ""},
		{"security case 40: another scheme that begins so", "/bearer", func(token string) []string {
			return []string{"Authorization: Bearerx " + token}
		}, "no_token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			covers(t)
			token := s.goodToken()
			got := s.raw(t, "GET "+test.path+" HTTP/1.1", test.headers(token)...)
			if test.reason != "" {
				s.checkKeptOut(t, got, test.reason)
				return
			}
			header := s.reached(t).Header
			if header.Get("X-BWS-BCID") != alice.String() {
				t.Errorf("the app gets %q", header)
			}
			for name, values := range header {
				if strings.Contains(strings.Join(values, "\n"), token) || name == "X-Bws-Token" {
					t.Errorf("the app gets the token in %s: %q", name, values)
				}
			}
		})
	}
}

// Security cases 31 and 38: what is not HTTP, or too much of it, opens nothing either. The server may answer by itself.
func TestTokensBeyondHTTP(t *testing.T) {
	s := startSite(t, "", "\tbws")
	for name, header := range map[string]string{
		"security case 31: a control byte in a cookie": "Cookie: bws_token=\x01%s",
		"security case 31: NUL in a header":            "X-BWS-Token: %s\x00",
		"security case 31: a bare line feed":           "X-BWS-Token: x%s\r\x0bX-BWS-Token: y",
		"security case 38: 1 MB":                       "X-BWS-Token: " + strings.Repeat("e30.", 1<<18) + "%s",
		"a space before the colon":                     "X-BWS-Token : %s",
		"a name with NUL":                              "X-BWS\x00-Token: %s",
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			calls := s.service.Calls("/result")
			status := statusOf(t, s.Addr, "GET / HTTP/1.1\r\nHost: "+s.Addr+"\r\nConnection: close\r\n"+fmt.Sprintf(header, s.goodToken())+"\r\n\r\n")
			if reached := s.app.take(); len(reached) > 0 {
				t.Errorf("the app is reached: %q", reached[0].Header)
			}
			if !strings.HasPrefix(status, "HTTP/1.1 4") && status != "" {
				t.Errorf("got %q", status)
			}
			if asked := s.service.Calls("/result") - calls; asked > 0 {
				t.Errorf("BWS was asked %d times", asked)
			}
		})
	}
}

// statusOf sends bytes and returns the first line of the answer, "" if the server has hung up, as it may while there is still
// something to send.
func statusOf(t *testing.T, addr, request string) string {
	t.Helper()
	conn := dial(t, addr)
	_, _ = io.WriteString(conn, request)
	answer, _ := io.ReadAll(conn)
	status, _, _ := strings.Cut(string(answer), "\r\n")
	return status
}
