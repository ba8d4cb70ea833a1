package caddybws

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bws/caddy-bws/bws"
)

func TestParsePersonsRefuses(t *testing.T) {
	for name, pattern := range map[string]string{
		"empty":                          "",
		"two parts":                      "bioid/9876",
		"four parts":                     "bioid/9876/1/2",
		"class 0":                        "bioid/9876/0",
		"leading zero":                   "bioid/9876/012345",
		"beyond 32 bits":                 "bioid/9876/2147483648",
		"a star within a part":           "bioid/9876/12*",
		"placeholder, two parts":         "bioid/{partition}",
		"placeholder, four parts":        "bioid/9876/{class}/1",
		"text before a whole BCID":       "x{person}",
		"text after a whole BCID":        "{person}x",
		"two placeholders, no separator": "{storage}{class}",
		"placeholder, impossible class":  "{storage}/9876/0",
		"placeholder, leading zero":      "{storage}/09876/1",
		"placeholder, odd storage":       "bio-id/9876/{class}",
		"placeholder, empty part":        "bioid//{class}",
		"unclosed placeholder":           "bioid/9876/{class",
		"unclosed, then separators":      "{class/9876/1",
		"closed twice":                   "bioid/{partition}}/1",
		"nested":                         "{{person}}",
	} {
		if p, err := parsePersons([]string{"bioid/9876/1", pattern}); err == nil {
			t.Errorf("%s: %q is accepted as %+v", name, pattern, p)
		} else if !strings.Contains(err.Error(), `"`+pattern+`"`) {
			t.Errorf("%s: the error does not name %q: %v", name, pattern, err)
		}
	}
}

func TestResolvePersons(t *testing.T) {
	for name, test := range map[string]struct {
		pattern string
		values  map[string]string
		person  bws.BCID
		want    bool
	}{
		"fixed":                         {"bioid/9876/12345", nil, alice, true},
		"security case 13: part-wise":   {"bioid/9876/1234", nil, alice, false},
		"a star for any class":          {"bioid/9876/*", nil, alice, true},
		"a star does not match class 0": {"*/*/*", nil, bws.BCID{Storage: "bioid", Partition: 9876}, false},

		"one part":                     {"bioid/9876/{class}", map[string]string{"class": "12345"}, alice, true},
		"with dots":                    {"bioid.9876.{class}", map[string]string{"class": "12345"}, alice, true},
		"all parts":                    {"{s}/{p}/{c}", map[string]string{"s": "bioid", "p": "9876", "c": "12345"}, alice, true},
		"text around":                  {"bio{s}/9876/1{c}5", map[string]string{"s": "id", "c": "234"}, alice, true},
		"separators in the name":       {"bioid/9876/{http.auth/user.id}", map[string]string{"http.auth/user.id": "12345"}, alice, true},
		"a star by the operator":       {"{s}/*/12345", map[string]string{"s": "bioid"}, alice, true},
		"negative class":               {"x/1/{c}", map[string]string{"c": "-7"}, bws.BCID{Storage: "x", Partition: 1, Class: -7}, true},
		"another class":                {"bioid/9876/{c}", map[string]string{"c": "12346"}, alice, false},
		"unknown placeholder":          {"bioid/9876/{c}", nil, alice, false},
		"empty placeholder":            {"bioid/9876/{c}", map[string]string{"c": ""}, alice, false},
		"a star by the client":         {"bioid/9876/{c}", map[string]string{"c": "*"}, alice, false},
		"a star in two halves":         {"bioid/9876/{a}{b}", map[string]string{"a": "*", "b": ""}, alice, false},
		"separators by the client":     {"bioid/{p}/12345", map[string]string{"p": "9876/12345"}, alice, false},
		"a part too many":              {"bioid/9876/{c}", map[string]string{"c": "12345/1"}, alice, false},
		"class 0":                      {"bioid/9876/{c}", map[string]string{"c": "0"}, bws.BCID{Storage: "bioid", Partition: 9876}, false},
		"leading zero":                 {"bioid/9876/{c}", map[string]string{"c": "012345"}, alice, false},
		"plus sign":                    {"bioid/9876/{c}", map[string]string{"c": "+12345"}, alice, false},
		"spaces":                       {"bioid/9876/{c}", map[string]string{"c": " 12345"}, alice, false},
		"beyond 32 bits":               {"bioid/9876/{c}", map[string]string{"c": "4294979641"}, alice, false}, // 12345 modulo 2^32
		"storages differ in case":      {"{s}/9876/12345", map[string]string{"s": "BioID"}, alice, false},
		"a placeholder by the client":  {"bioid/9876/{c}", map[string]string{"c": "{other}", "other": "12345"}, alice, false},
		"an empty part by the client":  {"{s}/9876/12345", map[string]string{"s": ""}, alice, false},
		"a brace is no wildcard":       {"bioid/9876/{c}", map[string]string{"c": "{}"}, alice, false},
		"whole":                        {"{u}", map[string]string{"u": "bioid/9876/12345"}, alice, true},
		"whole, with dots":             {"{u}", map[string]string{"u": "bioid.9876.12345"}, alice, true},
		"whole, a star":                {"{u}", map[string]string{"u": "bioid/9876/*"}, alice, false},
		"whole, class 0":               {"{u}", map[string]string{"u": "bioid/9876/0"}, bws.BCID{Storage: "bioid", Partition: 9876}, false},
		"whole, leading zero":          {"{u}", map[string]string{"u": "bioid/9876/012345"}, alice, false},
		"whole, beyond 32 bits":        {"{u}", map[string]string{"u": "bioid/9876/4294979641"}, alice, false},
		"whole, a name instead":        {"{u}", map[string]string{"u": "alice"}, alice, false},
		"whole, empty":                 {"{u}", map[string]string{"u": ""}, bws.BCID{}, false},
		"whole, unknown":               {"{u}", nil, bws.BCID{}, false},
		"whole, another":               {"{u}", map[string]string{"u": "bioid/9876/12346"}, alice, false},
		"placeholder without a name":   {"{}", map[string]string{"": "bioid/9876/12345"}, bob, false},
		"whole, security case 13":      {"{u}", map[string]string{"u": "bioid/9876/1234"}, alice, false},
		"whole, placeholder by client": {"{u}", map[string]string{"u": "{other}", "other": "bioid/9876/12345"}, alice, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := parsePersons([]string{"eyes/1/1", test.pattern})
			if err != nil {
				t.Fatal(err)
			}
			repl := caddy.NewEmptyReplacer()
			for name, value := range test.values {
				repl.Set(name, value)
			}
			got := false
			for _, pattern := range p.resolve(new(visit), repl) {
				got = got || pattern.Match(test.person)
			}
			if got != test.want {
				t.Errorf("%v matches: %v, want %v", test.person, got, test.want)
			}
		})
	}
}

// What one request resolves to must not show in the next.
func TestResolvePersonsForEachRequest(t *testing.T) {
	p, err := parsePersons([]string{"eyes/1/1", "{user}", "eyes/2/2", "eyes/3/3"})
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(user bws.BCID) []bws.Pattern {
		repl := caddy.NewEmptyReplacer()
		repl.Set("user", user.String())
		return p.resolve(new(visit), repl)
	}
	forAlice, forBob, forNobody := resolve(alice), resolve(bob), resolve(bws.BCID{})
	if len(forAlice) != 4 || forAlice[3] != bws.PatternFor(alice) || len(forBob) != 4 || forBob[3] != bws.PatternFor(bob) || len(forNobody) != 3 {
		t.Errorf("for %v: %v\nfor %v: %v\nfor nobody: %v", alice, forAlice, bob, forBob, forNobody)
	}
}

// security case 119: what a gate has found out is not what the next one may be bound to.
func TestResolvePersonsIgnoresGates(t *testing.T) {
	v := &visit{user: alice}
	repl := caddy.NewEmptyReplacer()
	repl.Map(v.placeholder)
	for _, placeholder := range []string{"{http.auth.user.id}", "{http.bws.bcid}"} {
		p, err := parsePersons([]string{placeholder})
		if err != nil {
			t.Fatal(err)
		}
		if patterns := p.resolve(v, repl); len(patterns) > 0 {
			t.Errorf("%s yields %v", placeholder, patterns)
		}
	}
	if user := repl.ReplaceAll("{http.auth.user.id}", ""); user != alice.String() {
		t.Errorf("after that, the user is %q", user)
	}

	repl.Set("http.auth.user.id", bob.String()) // as authentication handlers do
	p, _ := parsePersons([]string{"{http.auth.user.id}"})
	if patterns := p.resolve(v, repl); len(patterns) != 1 || !patterns[0].Match(bob) {
		t.Errorf("the user of a first factor yields %v", patterns)
	}
}

// Whatever is in a placeholder, it names one person at most, unless the operator has written a star.
func FuzzPersons(f *testing.F) {
	f.Add("bioid/9876/{class}", "12345")
	f.Add("{person}", "bioid.9876.12345")
	f.Add("{s}/*/1{class}", "*")
	f.Add("{http.auth/user.id}", "bioid/9876/*")
	f.Add("bioid/{p}/{c}", "1/2")
	f.Add("{", "}")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		p, err := parsePersons([]string{pattern})
		if err != nil {
			return
		}
		repl := caddy.NewEmptyReplacer()
		repl.Map(func(string) (any, bool) { return value, true })
		for _, resolved := range p.resolve(new(visit), repl) {
			person, one := resolved.BCID()
			if !one && !strings.Contains(pattern, "*") {
				t.Fatalf("%q with %q matches more than one: %v", pattern, value, resolved)
			}
			if one && !resolved.Match(person) {
				t.Fatalf("%q with %q does not match %v", pattern, value, person)
			}
		}
	})
}
