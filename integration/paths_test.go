package integration

import (
	"net/http"
	"path"
	"strings"
	"testing"
)

// The other way round than in TestNoWayAround: a gate on a path only, which every spelling of that path must meet. Caddy's
// matchers ignore case and see the path decoded and cleaned.
func TestEverySpellingOfAPath(t *testing.T) {
	s := startSite(t, "", "\tbws /admin* {\n\t}\n\tbws /a%2fb/* {\n\t}")
	for name, target := range map[string]string{
		"as it is":                            "/admin",
		"below":                               "/admin/users",
		"security case 15: dots":              "/x/../admin/users",
		"security case 15: encoded dots":      "/x/%2e%2e/admin",
		"security case 15: half encoded dots": "/x/.%2E/admin",
		"security case 15: an encoded slash":  "/x%2f..%2fadmin",
		"security case 15: encoded in front":  "/%2fadmin",
		"security case 15: two slashes":       "//admin//users",
		"security case 15: a dot":             "/./admin",
		"security case 15: a parameter":       "/admin;x=/public",
		"security case 15: NUL":               "/admin%00.css",
		"security case 15: a slash after it":  "/admin%2f",
		"security case 15: a backslash":       `/admin\..\public`,
		"security case 15: its code":          "/admin%5c..%5cpublic",
		"security case 16: upper case":        "/ADMIN/Users",
		"security case 16: an escape":         "/%61dmin",
		"security case 16: an escape, upper":  "/%41DMIN",
		"security case 16: in the pattern":    "/a%2Fb/c",
		"security case 19: a query":           "/admin?x=/public/",
		"security case 19: an encoded query":  "/admin%3fx",
		"an absolute URL":                     "http://" + s.Addr + "/admin",
		"an absolute URL, another scheme":     "https://" + s.Addr + "/admin",
		"an absolute URL with a user":         "http://x@" + s.Addr + "/admin",
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			for _, method := range []string{http.MethodGet, http.MethodPost, "PURGE"} {
				got := s.raw(t, method+" "+target+" HTTP/1.1", "Content-Length: 0")
				s.checkKeptOut(t, got, "no_token")
			}
			got := s.raw(t, "HEAD "+target+" HTTP/1.1")
			if reached := s.app.take(); got.StatusCode != http.StatusUnauthorized || len(reached) > 0 {
				t.Errorf("HEAD: got %d, the app is reached: %v", got.StatusCode, len(reached) > 0)
			}
		})
	}
	// What is none of it does pass, under a name that the app cannot take for it either.
	for _, target := range []string{"/", "/public", "/administer/../x", "/x/admin", "/%2561dmin"} {
		s.raw(t, "GET "+target+" HTTP/1.1")
		if got := s.reached(t); strings.HasPrefix(strings.ToLower(path.Clean(got.URL.Path)), "/admin") {
			t.Errorf("%s reaches the app as %s", target, got.URL.Path)
		}
	}
}

// Security case 30: the gate comes before what answers, wherever it is written. What Caddy sorts before basic_auth and forward_auth
// comes before the gate as well: what redir answers is open.
func TestOrderOfDirectives(t *testing.T) {
	covers(t, 30)
	s := startSite(t, "", `	respond /respond "secret"
	error /error "secret" 418
	abort /abort
	templates /templates
	encode
	handle /handle {
		respond "secret"
	}
	handle_path /handled/* {
		respond "secret"
	}
	route /route {
		respond "secret"
	}
	file_server /files/*
	redir /redir /secret
	bws`)
	for _, target := range []string{"/respond", "/error", "/abort", "/templates", "/handle", "/handled/x", "/route", "/files/x", "/"} {
		t.Run(target, func(t *testing.T) {
			got := s.raw(t, "GET "+target+" HTTP/1.1", "Accept-Encoding: gzip")
			s.checkKeptOut(t, got, "no_token")
			if strings.Contains(got.Body, "secret") {
				t.Errorf("the answer is %s", got.Body)
			}
		})
	}
	t.Run("/redir", func(t *testing.T) {
		if got := s.raw(t, "GET /redir HTTP/1.1"); got.StatusCode != http.StatusFound {
			t.Errorf("got %d %s: if the gate is before redir now, tell so in docs/hardening.md", got.StatusCode, got.Body)
		}
	})
	t.Run("allowed", func(t *testing.T) {
		if got := s.raw(t, "GET /handled/x HTTP/1.1", "X-BWS-Token: "+s.goodToken()); got.Body != "secret" {
			t.Errorf("got %d %s", got.StatusCode, got.Body)
		}
	})
}
