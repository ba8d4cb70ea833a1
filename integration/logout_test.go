package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// checkCleared checks that an answer has the browser drop the session's cookie and the token's, and what it has cached.
func (a *answer) checkCleared(t *testing.T) {
	t.Helper()
	cleared := make(map[string]bool)
	for _, cookie := range a.Cookies() {
		cleared[cookie.Name] = cookie.Value == "" && cookie.MaxAge < 0 && cookie.Path == "/" && cookie.HttpOnly
	}
	if len(cleared) != 3 || !cleared["bws_session"] || !cleared["bws_token"] || !cleared["bws_login_token"] {
		t.Errorf("cleared are %q", a.Header["Set-Cookie"])
	}
	if a.Header.Get("Clear-Site-Data") != `"cache"` || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the client gets %q", a.Header)
	}
}

// Security case 57, over real connections, with a reload before and one after.
func TestLogout(t *testing.T) {
	covers(t, 57)
	c, service := startWatched(t, "default")
	site := "http://" + c.Addr
	token := goodToken(service)
	session := begin(t, site, []string{"X-BWS-Token: " + token})
	other := begin(t, site, good(service))
	if got := do(t, http.MethodGet, site, session); got.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", got.StatusCode, got.Body)
	}

	c.reload(c.watched(service.URL, "default", "more"))
	got := do(t, http.MethodPost, site+"/logout", session)
	if got.StatusCode != http.StatusNoContent || got.Body != "" {
		t.Errorf("got %d %s", got.StatusCode, got.Body)
	}
	got.checkCleared(t)

	for _, config := range []string{"", c.watched(service.URL, "default"), c.watched(service.URL, "default", "again")} {
		if config != "" {
			c.reload(config)
		}
		for _, ended := range []string{session, "X-BWS-Token: " + token, "Cookie: bws_token=" + token} {
			if got := do(t, http.MethodGet, site, ended); got.StatusCode != http.StatusUnauthorized || got.reason() != "revoked" {
				t.Errorf("got %d %s", got.StatusCode, got.Body)
			}
		}
		for _, header := range []string{other, good(service)[0]} {
			if got := do(t, http.MethodGet, site, header); got.StatusCode != http.StatusOK {
				t.Errorf("somebody else got %d %s", got.StatusCode, got.Body)
			}
		}
	}
}

// What Caddy makes of the wishes of others: the statuses, and the route for errors.
func TestLogoutIsRefused(t *testing.T) {
	covers(t, 57)
	s := startSite(t, "", `	bws_logout /logout
	bws {
		session
	}
	handle_errors {
		respond "sorry: {err.status_code}"
	}`)
	site := "http://" + s.Addr
	session := begin(t, site, good(s.service))
	s.app.take()
	for _, test := range []struct {
		method  string
		headers []string
		status  int
	}{
		{http.MethodGet, nil, http.StatusForbidden},
		{http.MethodGet, []string{"Sec-Fetch-Site: cross-site"}, http.StatusForbidden},
		{http.MethodPost, []string{"Sec-Fetch-Site: cross-site"}, http.StatusForbidden},
		{http.MethodPost, []string{"Origin: http://evil.example"}, http.StatusForbidden},
		{http.MethodPost, []string{"Origin: null"}, http.StatusForbidden},
		{http.MethodPut, []string{"Sec-Fetch-Site: same-origin"}, http.StatusMethodNotAllowed},
		{http.MethodHead, []string{"Sec-Fetch-Site: same-origin"}, http.StatusMethodNotAllowed},
	} {
		got := do(t, test.method, site+"/logout", append(test.headers, session)...)
		if got.StatusCode != test.status || test.method != http.MethodHead && !strings.HasPrefix(got.Body, "sorry: 40") {
			t.Errorf("%s %q: got %d %s, want %d", test.method, test.headers, got.StatusCode, got.Body, test.status)
		}
		if allow := got.Header.Get("Allow"); (allow == "GET, POST") != (test.status == http.StatusMethodNotAllowed) {
			t.Errorf("%s: Allow: %q", test.method, allow)
		}
		if len(got.Cookies()) > 0 {
			t.Errorf("%s %q clears %q", test.method, test.headers, got.Header["Set-Cookie"])
		}
		if requests := s.app.take(); len(requests) > 0 {
			t.Errorf("%s %q reaches the app", test.method, test.headers)
		}
	}
	if got := do(t, http.MethodGet, site, session); got.StatusCode != http.StatusOK {
		t.Errorf("the session is gone: %d %s", got.StatusCode, got.Body)
	}
	// The same, from a page of the site, whose port is a part of its origin.
	if got := do(t, http.MethodGet, site+"/logout", "Referer: "+site+"/page", session); got.StatusCode != http.StatusNoContent {
		t.Errorf("got %d %s", got.StatusCode, got.Body)
	}
	if got := do(t, http.MethodGet, site, session); got.reason() != "revoked" {
		t.Errorf("got %d %s", got.StatusCode, got.Body)
	}
}

// Logging out comes before gates whatever the order in the Caddyfile, leads where it is told to, and clears the cookie of its name.
func TestLogoutRedirects(t *testing.T) {
	t.Setenv("BWS_BYE", "https://bye.example/?from=x")
	s := startSite(t, "", `	bws {
		session {
			cookie s
		}
	}
	bws_logout /logout {
		redirect {env.BWS_BYE}
		cookie s
	}`)
	site := "http://" + s.Addr
	cookies := do(t, http.MethodGet, site, good(s.service)...).Cookies()
	if len(cookies) != 1 || cookies[0].Name != "s" {
		t.Fatalf("got %v", cookies)
	}
	session := "Cookie: s=" + cookies[0].Value
	s.app.take()
	got := do(t, http.MethodPost, site+"/logout", session, "Origin: "+site)
	if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "https://bye.example/?from=x" || got.Body != "" {
		t.Errorf("got %d, %q, %s", got.StatusCode, got.Header, got.Body)
	}
	if cleared := got.Cookies(); len(cleared) != 3 || cleared[0].Name != "s" || cleared[0].MaxAge >= 0 {
		t.Errorf("cleared are %q", got.Header["Set-Cookie"])
	}
	s.checkKeptOut(t, do(t, http.MethodGet, site, session), "revoked")
}

// Security case 101: neither logging out nor being kept out afterwards shows a secret in Caddy's log, at DEBUG and with an access
// log.
func TestLogoutLogsNoSecret(t *testing.T) {
	covers(t, 101)
	s := startSite(t, "\t\ttrace", "\tlog\n\tbws_logout /logout\n\tbws {\n\t\tsession\n\t}")
	site := "http://" + s.Addr
	secrets := []string{bwstest.AppSecret, basicAuth(bwstest.AppID, bwstest.AppSecret)}
	logOut := func(rest ...string) {
		t.Helper()
		token := s.goodToken()
		session := begin(t, site, []string{"Cookie: bws_token=" + token})
		value := strings.TrimPrefix(session, "Cookie: bws_session=")
		secrets = append(secrets, token, value, url.QueryEscape(value))
		do(t, http.MethodPost, site+"/logout", append(rest, session+"; bws_token="+token)...)
		do(t, http.MethodGet, site+"/after", session)
		do(t, http.MethodGet, site+"/after", "Cookie: bws_token="+token)
	}
	logOut()
	logOut("Sec-Fetch-Site: cross-site")
	s.service.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	unproven := s.goodToken()
	secrets = append(secrets, unproven)
	if got := do(t, http.MethodPost, site+"/logout", "Cookie: bws_token="+unproven); got.reason() != "service_unavailable" {
		t.Errorf("got %d %s", got.StatusCode, got.Body)
	}
	do(t, http.MethodGet, site+"/last", "Cookie: bws_token=last")
	s.waitForLog(`"uri":"/last"`)
	for _, said := range []string{`"msg":"logged out"`, `"reason":"revoked"`, "does not come from a page of this site"} {
		if !strings.Contains(s.logs.String(), said) {
			t.Errorf("the log does not say %s", said)
		}
	}
	for _, secret := range secrets {
		if strings.Contains(s.logs.String(), secret) {
			t.Errorf("the log shows %s:\n%s", secret, s.logs.String())
		}
	}
}
