package integration

import (
	"strings"
	"testing"
)

// Several gates on one request, as a README would have them: the longer path first, each with a policy of its own.
func TestGatesCompose(t *testing.T) {
	s := startSite(t, "", `	bws /transfer* {
		max_age 1h
	}
	bws
	bws /bound* {
		bcid {http.auth.user.id}
	}`)
	t.Run("security case 116: the longer path first, one question", func(t *testing.T) {
		covers(t)
		calls := s.service.Calls("/result")
		s.raw(t, "POST /transfer HTTP/1.1", "Cookie: bws_token="+s.goodToken()+"; a=1", "Content-Length: 0")
		r := s.reached(t)
		if asked := s.service.Calls("/result") - calls; asked != 1 {
			t.Errorf("BWS was asked %d times, want once", asked)
		}
		if r.Header.Get("X-BWS-BCID") != alice.String() || r.Header.Get("Cookie") != "a=1" {
			t.Errorf("the app gets %q", r.Header)
		}
	})
	t.Run("security case 119: bound to whom a gate has found", func(t *testing.T) {
		covers(t)
		s.checkKeptOut(t, s.raw(t, "GET /bound HTTP/1.1", "Cookie: bws_token="+s.goodToken()), "bcid_not_allowed")
	})
}

// Security case 115: the gap that docs/hardening.md warns of, and the remedy that it gives.
func TestRewriteBeforeTheGate(t *testing.T) {
	covers(t, 115)
	open := startSite(t, "", "\tbws /admin/*\n\trewrite /index.php?page={path}")
	open.raw(t, "GET /admin/users HTTP/1.1")
	if r := open.reached(t); r.URL.Path != "/index.php" {
		t.Errorf("the app gets %s", r.RequestURI)
	}
	open.waitForLog("comes after a rewrite")

	shut := startSite(t, "", "\troute {\n\t\tbws /admin/*\n\t\trewrite /index.php?page={path}\n\t}")
	shut.checkKeptOut(t, shut.raw(t, "GET /admin/users HTTP/1.1"), "no_token")
	shut.raw(t, "GET /admin/users HTTP/1.1", "X-BWS-Token: "+shut.goodToken())
	if r := shut.reached(t); r.RequestURI != "/index.php?page=%2Fadmin%2Fusers" {
		t.Errorf("the app gets %s", r.RequestURI)
	}
	if strings.Contains(shut.logs.String(), "comes after a rewrite") {
		t.Error("the log warns of the remedy")
	}
}

// Security case 117: over HTTPS a cookie counts only under a name that no sibling and no plain page can set. That it is HTTPS
// is for TLS to say, or for a proxy that Caddy trusts.
func TestPlantedCookie(t *testing.T) {
	covers(t, 117)
	s := startSite(t, "\t\ttrusted_proxies static 127.0.0.1/32", "\tbws")
	stranger := startSite(t, "", "\tbws")
	for _, test := range []struct {
		name, cookie, proto string
		site                *gatedSite
		passes              bool
	}{
		{"https, planted", "bws_token", "https", s, false},
		{"https", "__Host-bws_token", "https", s, true},
		{"http", "bws_token", "http", s, true},
		{"http, the other name", "__Host-bws_token", "http", s, false},
		{"a stranger says https", "__Host-bws_token", "https", stranger, false},
		{"security case 99: a stranger's word is nothing", "bws_token", "https", stranger, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			covers(t)
			cookie := "Cookie: " + test.cookie + "=" + test.site.goodToken()
			got := test.site.raw(t, "GET / HTTP/1.1", cookie, "X-Forwarded-Proto: "+test.proto)
			if !test.passes {
				test.site.checkKeptOut(t, got, "no_token")
				return
			}
			if header := test.site.reached(t).Header; header.Get("Cookie") != "" {
				t.Errorf("the app gets the cookie %q", header["Cookie"])
			}
		})
	}
}
