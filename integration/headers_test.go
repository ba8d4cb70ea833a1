package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Caddy drops names with underscores and dots by itself, unless it is told otherwise: the gate must not depend on it.
const acceptOddNames = `		expected_underscore_headers X_BWS_BCID X_Bws_Action X-BWS_Verified-At
		expected_dot_headers X.BWS.BCID X-Bws.Score`

// Who the app is told has been verified is for the gate to say, and for nobody else.
func TestForgedIdentity(t *testing.T) {
	t.Run("as Caddy is", func(t *testing.T) { testForgedIdentity(t, "") })
	// For a name that it is told to accept, Caddy drops the one with dashes.
	t.Run("odd names", func(t *testing.T) { testForgedIdentity(t, acceptOddNames) })
}

func testForgedIdentity(t *testing.T, servers string) {
	s := startSite(t, servers, `	bws /plain*
	bws /alive* {
		allow livenessdetection
	}
	bws /off* {
		identity_headers off
	}
	bws /report* {
		report_only
	}
	bws /own* {
		identity_headers {
			Remote-User {http.bws.bcid}
		}
	}`)
	verified := "X-BWS-Token: " + s.goodToken()
	alive := performed(s.service.Service, bwstest.TokenSpec{Task: bws.TaskLiveOnly}, success)
	names := []string{"X-Bws-Bcid", "X-Bws-Action", "X-Bws-Score", "Remote-User"}

	for _, test := range []struct {
		name, path string
		headers    []string
		want       []string // values of names
	}{
		{"security case 1: the result names nobody", "/alive", []string{"X-BWS-Token: " + alive, "X-BWS-BCID: admin", "X-BWS-Score: 1"},
			[]string{"", "livenessdetection", "", ""}},
		{"security case 1: the result names somebody", "/plain", []string{verified, "X-BWS-BCID: admin"},
			[]string{alice.String(), "verification", "", ""}},
		{"security case 2: underscores", "/plain", []string{verified, "X_BWS_BCID: admin", "X_Bws_Action: enrollment"},
			[]string{alice.String(), "verification", "", ""}},
		{"security case 3: dots", "/plain", []string{verified, "X.BWS.BCID: admin", "X-Bws.Score: 1"},
			[]string{alice.String(), "verification", "", ""}},
		{"security case 5: two lines", "/plain", []string{verified, "X-BWS-BCID: admin", "x-bws-bcid: root"},
			[]string{alice.String(), "verification", "", ""}},
		{"security case 7: only reported", "/report", []string{"X-BWS-BCID: admin", "X-BWS-Score: 1"}, []string{"", "", "", ""}},
		{"no headers are set", "/off", []string{verified, "X-BWS-BCID: admin"}, []string{"", "", "", ""}},
		{"a name of one's own", "/own", []string{verified, "Remote-User: admin", "remote-user: root", "X-BWS-BCID: admin"},
			[]string{"", "", "", alice.String()}},
		{"named in Connection", "/plain", []string{verified, "Connection: X-BWS-BCID, X-BWS-Action"},
			[]string{alice.String(), "verification", "", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			covers(t)
			s.raw(t, "GET "+test.path+" HTTP/1.1", test.headers...)
			header := s.reached(t).Header
			var got []string
			for _, name := range names {
				got = append(got, header.Get(name))
				if len(header.Values(name)) > 1 {
					t.Errorf("the app gets %s twice: %q", name, header.Values(name))
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("the app gets %q, want %q", got, test.want)
			}
			for _, odd := range []string{"X_bws_bcid", "X_bws_action", "X.bws.bcid", "X-Bws.score", "X-Bws-Token"} {
				if values, ok := header[odd]; ok {
					t.Errorf("the app gets %s: %q", odd, values)
				}
			}
		})
	}
}

// A trailer arrives after everything that looks at headers.
func TestForgedTrailer(t *testing.T) {
	covers(t, 1)
	s := startSite(t, "", "\tbws")
	sendRaw(t, s.Addr, "POST / HTTP/1.1\nHost: "+s.Addr+"\nConnection: close\nX-BWS-Token: "+s.goodToken()+
		"\nTransfer-Encoding: chunked\nTrailer: X-BWS-BCID, X-Other\n\n1\na\n0\nX-BWS-BCID: admin\nX-Other: x\n\n")
	if r := s.reached(t); len(r.Trailer) > 0 || r.Header.Get("X-BWS-BCID") != alice.String() {
		t.Errorf("the app gets the header %q and the trailer %q", r.Header, r.Trailer)
	}
}

// What BWS calls a person is put into headers, logs and placeholders: it is a BCID, or nothing at all.
func TestOddNamesFromTheService(t *testing.T) {
	s := startSite(t, "", "\tbws /bound* {\n\t\tbcid bioid/9876/1234\n\t}\n\tbws /plain*")
	for name, bcid := range map[string]string{
		"security case 9: a line break":           `bioid/9876/12345\r\nX-Admin: 1`,
		"security case 10: a placeholder":         `{env.HOME}/9876/12345`,
		"security case 10: a header":              `{http.request.header.Cookie}`,
		"security case 11: NUL":                   `bioid\u0000/9876/12345`,
		"security case 11: DEL":                   `bioid\u007f/9876/12345`,
		"security case 11: right to left":         `bioid\u202e/9876/12345`,
		"security case 11: zero width":            `bioid\u200b/9876/12345`,
		"security case 11: a lone surrogate":      `bioid\ud800/9876/12345`,
		"security case 11: not UTF-8":             "bioid\xff/9876/12345",
		"security case 11: beyond 32 bits":        `bioid/9876/4294967297`,
		"security case 11: two spellings of one":  `bioid/9876/012345`,
		"security case 11: a person of class 0":   `bioid/9876/0`,
		"security case 11: longer than any other": `b` + strings.Repeat("x", 1000) + `/9876/12345`,
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			token := s.goodToken()
			s.service.Script("/result", bwstest.Answer{Body: []byte(`{"Action":"verification","Success":true,"BCID":"` + bcid + `"}`)})
			s.checkKeptOut(t, s.raw(t, "GET /plain HTTP/1.1", "X-BWS-Token: "+token), "service_invalid")
		})
	}
	t.Run("security case 13: the beginning of another number", func(t *testing.T) {
		covers(t)
		s.checkKeptOut(t, s.raw(t, "GET /bound HTTP/1.1", "X-BWS-Token: "+s.goodToken()), "bcid_not_allowed")
	})
}
