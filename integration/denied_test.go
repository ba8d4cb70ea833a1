package integration

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// What a gate has denied can still reach an app: through an error route. It must not bring anything along that names a person or
// opens a gate, the headers of an earlier gate included.
func TestDeniedWithError(t *testing.T) {
	page := newApp(t)
	s := startSite(t, acceptOddNames, `	route {
		bws {
			token cookie bws_token
			token header X-BWS-Token
			token bearer
			deny error
			identity_headers {
				Remote-User {http.bws.bcid}
				X-BWS-BCID {http.bws.bcid}
			}
		}
		bws /bound* {
			bcid `+bob.String()+`
			deny error
		}
	}
	handle_errors {
		header X-Reason {http.bws.reason}
		header X-Person "{http.auth.user.id}{http.bws.bcid}{http.bws.action}"
		reverse_proxy `+page.Listener.Addr().String()+`
	}`)
	forged := []string{"X-BWS-BCID: admin", "X_BWS_BCID: admin", "X.BWS.BCID: admin", "X-BWS-Action: verification",
		"Remote-User: admin", "Trailer: X-BWS-BCID"}
	for name, test := range map[string]struct {
		path, token, reason string
		challenge           bool
	}{
		"without a token":                 {"/plain", "", "no_token", true},
		"with nonsense":                   {"/plain", "nonsense", "malformed_token", true},
		"by a gate after one that allows": {"/bound", s.goodToken(), "bcid_not_allowed", false},
	} {
		t.Run("security case 1: "+name, func(t *testing.T) {
			covers(t)
			headers := append([]string{"Authorization: Bearer " + test.token, "X-BWS-Token: " + test.token, "Cookie: a=1; bws_token=" + test.token},
				forged...)
			got := s.raw(t, "GET "+test.path+" HTTP/1.1", headers...)
			if person := got.Header.Get("X-Person"); got.Header.Get("X-Reason") != test.reason || strings.Contains(person, alice.Storage) {
				t.Errorf("reason %q, person %q", got.Header.Get("X-Reason"), person)
			}
			challenge := got.Header.Get("WWW-Authenticate")
			if challenged := strings.HasPrefix(challenge, "BWS realm="); challenged != test.challenge {
				t.Errorf("the challenge is %q", challenge)
			}
			if cache := got.Header.Values("Cache-Control"); !slices.Equal(cache, []string{"no-store"}) {
				t.Errorf("Cache-Control is %q", cache)
			}
			requests := page.take()
			if len(requests) != 1 || len(s.app.take()) > 0 {
				t.Fatalf("%d requests have reached the error route, want one, and the app none", len(requests))
			}
			r := requests[0]
			if cookie := r.Header.Get("Cookie"); cookie != "a=1" {
				t.Errorf("the error route gets the cookies %q", cookie)
			}
			for name, values := range r.Header {
				folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
				if strings.HasPrefix(folded, "x-bws-") || folded == "remote-user" || folded == "authorization" && test.token != "" {
					t.Errorf("the error route gets %s: %q", name, values)
				}
			}
		})
	}
}

// Security cases 64 and 71: only a browser that navigates is sent elsewhere, and no cache keeps where.
func TestDeniedWithRedirect(t *testing.T) {
	covers(t, 64, 71)
	s := startSite(t, "", "\tbws {\n\t\tdeny redirect /verify\n\t}")
	for name, test := range map[string]struct {
		requestLine string
		headers     []string
		status      int
	}{
		"a page":                          {"GET /x HTTP/1.1", []string{"Sec-Fetch-Mode: navigate"}, http.StatusSeeOther},
		"an old browser":                  {"GET /x HTTP/1.1", []string{"Accept: text/html,*/*;q=0.8"}, http.StatusSeeOther},
		"its HEAD":                        {"HEAD /x HTTP/1.1", []string{"Accept: text/html"}, http.StatusSeeOther},
		"a script":                        {"GET /x HTTP/1.1", []string{"Sec-Fetch-Mode: cors", "Accept: text/html"}, http.StatusUnauthorized},
		"an EventSource":                  {"GET /x HTTP/1.1", []string{"Accept: text/event-stream"}, http.StatusUnauthorized},
		"a form":                          {"POST /x HTTP/1.1", []string{"Sec-Fetch-Mode: navigate", "Content-Length: 0"}, http.StatusUnauthorized},
		"security case 65: odd paths":     {"GET //evil.example/%0d%0aX:1 HTTP/1.1", []string{"Sec-Fetch-Mode: navigate"}, http.StatusSeeOther},
		"security case 68: another host":  {"GET /x HTTP/1.1", []string{"Sec-Fetch-Mode: navigate", "X-Forwarded-Host: evil.example"}, http.StatusSeeOther},
		"security case 73: odd referrers": {"GET /x HTTP/1.1", []string{"Sec-Fetch-Mode: navigate", "Referer: \"><script>"}, http.StatusSeeOther},
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			got := s.raw(t, test.requestLine, test.headers...)
			if got.StatusCode != test.status || got.Header.Get("Cache-Control") != "no-store" || len(s.app.take()) > 0 {
				t.Errorf("got %d %q, want %d", got.StatusCode, got.Header, test.status)
			}
			want := map[bool]string{true: "/verify"}[test.status == http.StatusSeeOther]
			if to := got.Header.Get("Location"); to != want {
				t.Errorf("Location is %q, want %q", to, want)
			}
		})
	}
	t.Run("security case 72: an outage leads nowhere", func(t *testing.T) {
		covers(t)
		s.service.Script("/result", bwstest.Answer{Status: http.StatusInternalServerError})
		got := s.raw(t, "GET /x HTTP/1.1", "Sec-Fetch-Mode: navigate", "X-BWS-Token: "+s.goodToken())
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Location") != "" || got.Header.Get("Retry-After") == "" {
			t.Errorf("got %d %q", got.StatusCode, got.Header)
		}
	})
}
