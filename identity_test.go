package caddybws

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

func newTestIdentity(t testing.TB, configured http.Header) *identity {
	t.Helper()
	id, err := newIdentity(configured)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestNewIdentityRefuses(t *testing.T) {
	for name, configured := range map[string]http.Header{
		"empty name":                 {"": {"x"}},
		"space in a name":            {"X User": {"x"}},
		"colon in a name":            {"X-User:": {"x"}},
		"no value":                   {"X-User": {}},
		"empty value":                {"X-User": {"x", ""}},
		"line break in a value":      {"X-User": {"x\r\nX-Admin: 1"}},
		"framing":                    {"content-length": {"1"}},
		"connection":                 {"Connection": {"close"}},
		"cookies":                    {"cookie": {"a=1"}},
		"host":                       {"HOST": {"app"}},
		"one name in two cases":      {"X-User": {"x"}, "x-user": {"y"}},
		"one name for many CGI apps": {"X-User": {"x"}, "X_User": {"y"}},
		"one name with a dot":        {"X-User": {"x"}, "X.User": {"y"}},
	} {
		if id, err := newIdentity(configured); err == nil {
			t.Errorf("%s: got %+v, want an error", name, id)
		} else if !strings.HasPrefix(err.Error(), "identity_headers: ") || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%s: the error is %q", name, err)
		}
	}
}

func TestStrip(t *testing.T) {
	custom := http.Header{"Remote-User": {"{http.bws.bcid}"}}
	for name, test := range map[string]struct {
		configured    http.Header
		before, after http.Header
	}{
		"nothing forged": {
			nil,
			http.Header{"X-Bws": {"1"}, "X-Bws-Bcid-2": {"2"}, "Xbws-Bcid": {"3"}, "Connection": {"keep-alive,  close"}},
			http.Header{"X-Bws": {"1"}, "X-Bws-Bcid-2": {"2"}, "Xbws-Bcid": {"3"}, "Connection": {"keep-alive,  close"}},
		},
		"security case 1: all defaults": {
			nil,
			http.Header{"X-Bws-Bcid": {"f"}, "X-Bws-Action": {"f"}, "X-Bws-Score": {"f"}, "X-Bws-Verified-At": {"f"}, "X-Other": {"1"}},
			http.Header{"X-Other": {"1"}},
		},
		"security case 2: underscores": {nil, http.Header{"X_bws_bcid": {"f"}, "X_BWS-Verified_At": {"f"}}, http.Header{}},
		"security case 3: dots":        {nil, http.Header{"X.bws.bcid": {"f"}, "x.BWS_verified-at": {"f"}}, http.Header{}},
		"security case 5: two lines":   {nil, http.Header{"X-Bws-Bcid": {"f", "g"}}, http.Header{}},
		"headers off":                  {http.Header{}, http.Header{"X-Bws-Bcid": {"f"}, "X-User": {"1"}}, http.Header{"X-User": {"1"}}},
		"configured, and the defaults": {custom, http.Header{"Remote_user": {"f"}, "X-Bws-Bcid": {"f"}}, http.Header{}},
		"named in Connection": {
			custom,
			http.Header{"Connection": {"keep-alive, X-BWS-BCID", "Remote_User ,close"}},
			http.Header{"Connection": {"keep-alive, close"}},
		},
		"only that in Connection": {nil, http.Header{"Connection": {"x-bws-action,x.bws.score"}}, http.Header{}},
		"trailers":                {nil, http.Header{"Trailer": {"X-BWS-BCID"}}, http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{Header: test.before, Trailer: http.Header{"X-Bws-Bcid": {"f"}}}
			newTestIdentity(t, test.configured).strip(r)
			if !maps.EqualFunc(r.Header, test.after, slices.Equal) {
				t.Errorf("left is %q, want %q", r.Header, test.after)
			}
			if r.Trailer != nil {
				t.Errorf("trailers are left: %q", r.Trailer)
			}
		})
	}
}

// Names whose lengths differ by 64 share a bit of the filter before the comparison.
func TestStripLongNames(t *testing.T) {
	long := "X-" + strings.Repeat("User-", 16) + "Id"
	id := newTestIdentity(t, http.Header{long: {"x"}})
	r := &http.Request{Header: http.Header{strings.ToUpper(long): {"f"}, long[:len(long)-64]: {"kept"}, "X-Bws-Bcid": {"f"}}}
	id.strip(r)
	if want := (http.Header{long[:len(long)-64]: {"kept"}}); !maps.EqualFunc(r.Header, want, slices.Equal) {
		t.Errorf("left is %q, want %q", r.Header, want)
	}
}

func TestStripDoesNotAllocate(t *testing.T) {
	id, r := newTestIdentity(t, nil), ordinaryRequest()
	if allocations := testing.AllocsPerRun(100, func() { id.strip(r) }); allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}

func TestSetDefaults(t *testing.T) {
	const at = "2026-03-01T12:00:00Z"
	for name, test := range map[string]struct {
		evidence evidence.Evidence
		want     http.Header
	}{
		"verification": {
			evidence.Evidence{Action: bws.Verification, BCID: alice},
			http.Header{"X-Bws-Bcid": {"bioid/9876/12345"}, "X-Bws-Action": {"verification"}, "X-Bws-Verified-At": {at}},
		},
		"identification": {
			evidence.Evidence{Action: bws.Identification, BCID: alice, Matched: true, Score: 0.73721338244277179},
			http.Header{
				"X-Bws-Bcid": {"bioid/9876/12345"}, "X-Bws-Action": {"identification"}, "X-Bws-Verified-At": {at},
				"X-Bws-Score": {"0.7372133824427718"},
			},
		},
		"liveness detection": {
			evidence.Evidence{Action: bws.LiveDetection},
			http.Header{"X-Bws-Action": {"livenessdetection"}, "X-Bws-Verified-At": {at}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.evidence.AnsweredAt = start.In(time.FixedZone("", 3600))
			header := http.Header{}
			newTestIdentity(t, nil).set(header, &visit{evidence: &test.evidence}, caddy.NewReplacer())
			if !maps.EqualFunc(header, test.want, slices.Equal) {
				t.Errorf("got %q, want %q", header, test.want)
			}
			// Whoever appends to one value must not change another.
			for name, values := range header {
				if cap(values) != 1 {
					t.Errorf("%s has room for %d values", name, cap(values))
				}
			}
		})
	}
}

func TestSetTemplates(t *testing.T) {
	repl := caddy.NewEmptyReplacer()
	for name, value := range map[string]string{
		"empty": "", "person": "bioid/1/2", "nested": "{person}",
		"break": "a\r\nX-Admin: 1", "nul": "a\x00b", "del": "a\x7f", "tab": "a\tb", "accent": "Zoë",
	} {
		repl.Set(name, value)
	}
	for name, test := range map[string]struct{ templates, want []string }{
		"placeholder":                    {[]string{"{person}"}, []string{"bioid/1/2"}},
		"text around":                    {[]string{"user={person};x"}, []string{"user=bioid/1/2;x"}},
		"plain text":                     {[]string{"yes"}, []string{"yes"}},
		"several values":                 {[]string{"{person}", "x"}, []string{"bioid/1/2", "x"}},
		"empty":                          {[]string{"{empty}"}, nil},
		"unknown":                        {[]string{"{nobody.knows}"}, nil},
		"one of two empty":               {[]string{"{empty}", "x"}, []string{"x"}},
		"security case 9: line break":    {[]string{"{break}"}, nil},
		"security case 10: placeholders": {[]string{"{nested}"}, []string{"{person}"}},
		"security case 11: NUL":          {[]string{"{nul}"}, nil},
		"security case 11: DEL":          {[]string{"{del}"}, nil},
		"tab and accents are allowed":    {[]string{"{tab}{accent}"}, []string{"a\tbZoë"}},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			newTestIdentity(t, http.Header{"remote-user": test.templates}).set(header, &visit{evidence: new(evidence.Evidence)}, repl)
			if got := header["Remote-User"]; !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if len(header) != min(1, len(test.want)) {
				t.Errorf("got %q", header)
			}
		})
	}
	header := http.Header{}
	if newTestIdentity(t, http.Header{}).set(header, &visit{evidence: new(evidence.Evidence)}, repl); len(header) > 0 {
		t.Errorf("headers that are off are set: %q", header)
	}
}

func FuzzStrip(f *testing.F) {
	f.Add("X_BWS.bcid", "close, x-bws-bcid , X_Bws_Score,,upgrade")
	f.Add("Remote_User", "Remote.User")
	f.Add("Accept", "")
	names := []string{"x-bws-bcid", "x-bws-action", "x-bws-score", "x-bws-verified-at", "remote-user"}
	isOurs := func(name string) bool {
		return slices.Contains(names, strings.NewReplacer("_", "-", ".", "-").Replace(asciiLower(name)))
	}
	f.Fuzz(func(t *testing.T, name, connection string) {
		r := &http.Request{Header: http.Header{name: {"sent"}, "Connection": {connection}}}
		newTestIdentity(t, http.Header{"Remote-User": {"{http.bws.bcid}"}}).strip(r)
		if _, left := r.Header[name]; left == isOurs(name) && name != "Trailer" && name != "Connection" {
			t.Fatalf("%q: left is %v", name, left)
		}
		var others []string
		for option := range strings.SplitSeq(connection, ",") {
			if !isOurs(trim(option)) {
				others = append(others, trim(option))
			}
		}
		var left []string
		for _, line := range r.Header["Connection"] {
			for option := range strings.SplitSeq(line, ",") {
				left = append(left, trim(option))
			}
		}
		if !slices.Equal(left, others) {
			t.Fatalf("Connection %q names %q, want %q", connection, left, others)
		}
	})
}

func asciiLower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}
