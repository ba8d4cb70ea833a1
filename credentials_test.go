package caddybws

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

var (
	cookieSource = TokenSource{Cookie: "bws_token"}
	headerSource = TokenSource{Header: "x-bws-token"}
	bearerSource = TokenSource{Bearer: true}
)

func TestFind(t *testing.T) {
	for name, test := range map[string]struct {
		source TokenSource
		lines  []string
		want   string
		two    bool
	}{
		"no line":                        {cookieSource, nil, "", false},
		"the only cookie":                {cookieSource, []string{"bws_token=t"}, "t", false},
		"among others":                   {cookieSource, []string{"a=1; bws_token=t; b=2"}, "t", false},
		"in a second line":               {cookieSource, []string{"a=1", "bws_token=t"}, "t", false},
		"without spaces":                 {cookieSource, []string{"a=1;bws_token=t;b=2"}, "t", false},
		"spaces and tabs around":         {cookieSource, []string{"a=1; \tbws_token\t = t \t;b=2"}, "t", false},
		"a value with equals signs":      {cookieSource, []string{"bws_token=t=u="}, "t=u=", false},
		"a quoted value stays quoted":    {cookieSource, []string{`bws_token="t"`}, `"t"`, false},
		"a value with odd characters":    {cookieSource, []string{"bws_token=t\"\\,\x80"}, "t\"\\,\x80", false},
		"a space inside":                 {cookieSource, []string{"bws_token=t u"}, "t u", false},
		"a comma separates nothing":      {cookieSource, []string{"a=1, bws_token=t"}, "", false},
		"names differ in case":           {cookieSource, []string{"BWS_TOKEN=t; Bws_token=t"}, "", false},
		"a longer name":                  {cookieSource, []string{"xbws_token=t; bws_token2=t; bws_token.x=t"}, "", false},
		"the name as a value":            {cookieSource, []string{"a=bws_token=t"}, "", false},
		"empty":                          {cookieSource, []string{"bws_token="}, "", false},
		"empty but for spaces":           {cookieSource, []string{"bws_token= \t"}, "", false},
		"no equals sign":                 {cookieSource, []string{"bws_token"}, "", false},
		"empty, then a token":            {cookieSource, []string{"bws_token=; bws_token=t"}, "t", false},
		"a token, then empty":            {cookieSource, []string{"bws_token=t; bws_token="}, "t", false},
		"twice the same":                 {cookieSource, []string{"bws_token=t; bws_token=t"}, "t", false},
		"security case 34: two cookies":  {cookieSource, []string{"bws_token=t; bws_token=u"}, "", true},
		"two cookies in two lines":       {cookieSource, []string{"bws_token=t", "bws_token=u"}, "", true},
		"three cookies, first like last": {cookieSource, []string{"bws_token=t; bws_token=u; bws_token=t"}, "", true},
		"plain and quoted":               {cookieSource, []string{`bws_token=t; bws_token="t"`}, "", true},

		"header":                        {headerSource, []string{"t"}, "t", false},
		"header with spaces around":     {headerSource, []string{" \tt\t "}, "t", false},
		"empty header":                  {headerSource, []string{""}, "", false},
		"empty header line, then token": {headerSource, []string{" ", "t"}, "t", false},
		"header twice the same":         {headerSource, []string{"t", " t"}, "t", false},
		"security case 8: two headers":  {headerSource, []string{"t", "u"}, "", true},

		"bearer":                            {bearerSource, []string{"Bearer t"}, "t", false},
		"the scheme in other case":          {bearerSource, []string{"bEARER t"}, "t", false},
		"security case 40: several spaces":  {bearerSource, []string{" Bearer   t "}, "t", false},
		"security case 40: nothing else":    {bearerSource, []string{"Bearer"}, "", false},
		"security case 40: only spaces":     {bearerSource, []string{"bearer  "}, "", false},
		"security case 40: another scheme":  {bearerSource, []string{"Basic dDp1"}, "", false},
		"a scheme that begins so":           {bearerSource, []string{"BearerX t"}, "", false},
		"another scheme and a bearer token": {bearerSource, []string{"Basic dDp1", "Bearer t"}, "t", false},
		"two bearer tokens":                 {bearerSource, []string{"Bearer t", "bearer u"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, unambiguous := test.source.find(test.lines)
			if unambiguous == test.two || unambiguous && got != test.want {
				t.Errorf("got %q, unambiguous: %v; want %q, %v", got, unambiguous, test.want, !test.two)
			}
		})
	}
}

func TestFindToken(t *testing.T) {
	sources := []TokenSource{cookieSource, headerSource, bearerSource}
	for name, test := range map[string]struct {
		header http.Header
		token  string
		reason policy.Reason
	}{
		"nothing":                       {http.Header{}, "", policy.NoToken},
		"all empty":                     {http.Header{"Cookie": {"bws_token="}, "Authorization": {"Bearer"}}, "", policy.NoToken},
		"the first source first":        {http.Header{"Cookie": {"bws_token=c"}, "X-Bws-Token": {"h"}}, "c", ""},
		"an empty source is passed":     {http.Header{"Cookie": {"bws_token="}, "X-Bws-Token": {"h"}}, "h", ""},
		"the last source":               {http.Header{"Cookie": {"a=1"}, "Authorization": {"Bearer b"}}, "b", ""},
		"two in the first source":       {http.Header{"Cookie": {"bws_token=c;bws_token=d"}, "X-Bws-Token": {"h"}}, "", policy.AmbiguousToken},
		"two in the second source":      {http.Header{"X-Bws-Token": {"h", "i"}}, "", policy.AmbiguousToken},
		"two in a source not looked at": {http.Header{"Cookie": {"bws_token=c"}, "X-Bws-Token": {"h", "i"}}, "c", ""},
	} {
		t.Run(name, func(t *testing.T) {
			token, reason := findToken(sources, func(name string) []string { return test.header[name] })
			if token != test.token || reason != test.reason {
				t.Errorf("got %q, %q; want %q, %q", token, reason, test.token, test.reason)
			}
		})
	}
}

func TestTake(t *testing.T) {
	sources := []TokenSource{cookieSource, {Cookie: "__Host-bws_token"}, headerSource, bearerSource}
	for name, test := range map[string]struct{ before, after http.Header }{
		"nothing of ours": {
			http.Header{"Cookie": {"a=1;  b=2;", "c"}, "Authorization": {"Basic dDp1"}, "X-Other": {"x"}},
			http.Header{"Cookie": {"a=1;  b=2;", "c"}, "Authorization": {"Basic dDp1"}, "X-Other": {"x"}},
		},
		"everything": {
			http.Header{"Cookie": {"bws_token=t"}, "Authorization": {"Bearer t"}, "X-Bws-Token": {"t", "u"}},
			http.Header{},
		},
		"empty credentials": {
			http.Header{"Cookie": {"bws_token=; a=1; bws_token"}, "Authorization": {"bearer"}, "X-Bws-Token": {""}},
			http.Header{"Cookie": {"a=1"}},
		},
		"ours among others": {
			http.Header{"Cookie": {"a=1;bws_token=t;  b=2 ; __Host-bws_token=u; a=3"}, "Authorization": {"Basic dDp1", "Bearer t"}},
			http.Header{"Cookie": {"a=1; b=2; a=3"}, "Authorization": {"Basic dDp1"}},
		},
		"lines without ours stay as they are": {
			http.Header{"Cookie": {"a=1;;b", "bws_token=t", "c=\"2\\\"; d"}},
			http.Header{"Cookie": {"a=1;;b", "c=\"2\\\"; d"}},
		},
		"odd pairs of others stay": {
			http.Header{"Cookie": {`=; ==; a b=c d; "q"="r"; bws_token=t; x,y; BWS_TOKEN=z`}},
			http.Header{"Cookie": {`=; ==; a b=c d; "q"="r"; x,y; BWS_TOKEN=z`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, v, set := &http.Request{Header: test.before.Clone()}, new(visit), credentialsOf(sources)
			set.take(r, v)
			if !maps.EqualFunc(r.Header, test.after, slices.Equal) {
				t.Errorf("left is %q, want %q", r.Header, test.after)
			}
			for name := range test.before {
				if got := v.header(r, name); !slices.Equal(got, test.before[name]) {
					t.Errorf("a later gate sees %s as %q, want %q", name, got, test.before[name])
				}
			}
		})
	}
}

// A gate takes its own credentials and leaves those of others, for which it was not asked.
func TestTakeOnlyWhatIsConfigured(t *testing.T) {
	before := http.Header{"Cookie": {"bws_token=t"}, "Authorization": {"Bearer t"}, "X-Bws-Token": {"t"}}
	for _, source := range []TokenSource{cookieSource, headerSource, bearerSource} {
		r, want := &http.Request{Header: before.Clone()}, before.Clone()
		set := credentialsOf([]TokenSource{source})
		set.take(r, new(visit))
		if delete(want, source.headerName()); !maps.EqualFunc(r.Header, want, slices.Equal) {
			t.Errorf("%s: left is %q, want %q", source, r.Header, want)
		}
	}
}

func FuzzFindToken(f *testing.F) {
	f.Add("bws_token=t; a=1", "u", "Bearer v")
	f.Add("bws_token=t; bws_token=\"t\"", "", "")
	f.Add(";;=; bws_token", " ", "bearer")
	sources := []TokenSource{cookieSource, headerSource, bearerSource}
	f.Fuzz(func(t *testing.T, cookie, header, authorization string) {
		r := &http.Request{Header: http.Header{"Cookie": {cookie}, "X-Bws-Token": {header}, "Authorization": {authorization}}}
		lines := func(name string) []string { return r.Header[name] }
		token, reason := findToken(sources, lines)
		if (token == "") == (reason == "") {
			t.Fatalf("found %q and %q: exactly one of them must be there", token, reason)
		}
		if trim(token) != token || !strings.Contains(cookie+"\n"+header+"\n"+authorization, token) {
			t.Fatalf("%q is not what was sent", token)
		}
		set := credentialsOf(sources)
		set.take(r, new(visit))
		if token, reason := findToken(sources, lines); reason != policy.NoToken {
			t.Fatalf("the app finds %q, %q", token, reason)
		}
	})
}

func FuzzTake(f *testing.F) {
	f.Add("a=1; bws_token=t; b=2", "bws_token")
	f.Add("bws_token =t;a;;=", " \tbws_token\t=u")
	f.Add(`a="; bws_token=t"`, "a=1,bws_token=t")
	f.Fuzz(func(t *testing.T, first, second string) {
		if !httpguts.ValidHeaderFieldValue(first) || !httpguts.ValidHeaderFieldValue(second) {
			return // no server lets that in
		}
		var others []string
		for _, pair := range pairs(first, second) {
			if name, _, _ := strings.Cut(pair, "="); strings.Trim(name, " \t") != "bws_token" {
				others = append(others, pair)
			}
		}
		r, set := &http.Request{Header: http.Header{"Cookie": {first, second}}}, credentialsOf([]TokenSource{cookieSource})
		set.take(r, new(visit))
		if left := pairs(r.Header["Cookie"]...); !slices.Equal(left, others) {
			t.Fatalf("left is %q, want %q", left, others)
		}
		if seen := r.CookiesNamed("bws_token"); len(seen) > 0 {
			t.Fatalf("an app written in Go still finds %v", seen)
		}
	})
}

// pairs are the pairs in lines of cookies, without the empty ones.
func pairs(lines ...string) []string {
	var pairs []string
	for pair := range strings.SplitSeq(strings.Join(lines, ";"), ";") {
		if pair = strings.Trim(pair, " \t"); pair != "" {
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// Every request is searched for all that a gate takes, so that nothing is in there twice.
func TestCredentialsOfEachOnce(t *testing.T) {
	for name, gate := range map[string]Gate{
		"default":  {},
		"token":    {Token: []TokenSource{{Header: "x-bws-token"}, {Cookie: plainTokenCookie}, {Cookie: "own"}}},
		"sessions": {Session: new(Session)},
		"login":    loginGate(withSession),
	} {
		g := newSite(t).gate(t, gate)
		for _, names := range [][]string{g.credentials.cookies, g.credentials.headers} {
			if unique := slices.Compact(slices.Sorted(slices.Values(names))); len(unique) != len(names) {
				t.Errorf("%s: %q", name, names)
			}
		}
	}
}
