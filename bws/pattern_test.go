package bws

import (
	"errors"
	"testing"
)

func TestPatternMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, bcid string
		want          bool
	}{
		{"bioid/9876/12345", "bioid/9876/12345", true},
		{"bioid.9876.12345", "bioid/9876/12345", true},
		{"bioid/9876/*", "bioid/9876/12345", true},
		{"bioid/9876/*", "bioid/9876/-1", true},
		{"bioid/*/1", "bioid/-5/1", true},
		{"*/9876/1", "other/9876/1", true},
		{"*/*/*", "a/0/1", true},
		{"bioid/9876/1", "bioid/9876/12", false}, // case 13: parts, not prefixes
		{"bioid/987/*", "bioid/9876/1", false},
		{"bio/9876/*", "bioid/9876/1", false},
		{"BIOID/9876/*", "bioid/9876/1", false},
		{"bioid/9876/-1", "bioid/9876/1", false},
		{"bioid/9876/*", "bioid/9876/0", false}, // a partition is nobody
		{"*/*/*", "bioid/9876/0", false},
	} {
		p, err := ParsePattern(test.pattern)
		if err != nil {
			t.Fatalf("%q: %v", test.pattern, err)
		}
		b, err := ParseBCID(test.bcid)
		if err != nil {
			t.Fatalf("%q: %v", test.bcid, err)
		}
		if got := p.Match(b); got != test.want {
			t.Errorf("pattern %q matches %q: %v, want %v", test.pattern, test.bcid, got, test.want)
		}
		if p.Match(BCID{}) {
			t.Errorf("pattern %q matches nobody", test.pattern)
		}
	}
}

func TestParsePatternRefuses(t *testing.T) {
	for _, in := range []string{
		"", "*", "*/*", "bioid/9876", "bioid/9876/1/2", "bioid/9876/0", "bioid/09876/1", "bioid/9876/01", "bioid/9876/-0",
		"bioid/9876/2147483648", "bioid/+1/1", "/9876/1", "bioid//1", "bioid/9876/", "bioid/9876/**", "bioid/9876/1*", "bio*/9876/1",
		"**/9876/1", "bioid/9876/{class}", "bioid/9876/1 ", "bio id/9876/1",
	} {
		if p, err := ParsePattern(in); !errors.Is(err, ErrInvalidPattern) || p != (Pattern{}) {
			t.Errorf("ParsePattern(%q) = %v, %v; want %v", in, p, err, ErrInvalidPattern)
		}
	}
}

func TestPatternOne(t *testing.T) {
	person := BCID{"bioid", 9876, 12345}
	if got, ok := PatternFor(person).BCID(); !ok || got != person {
		t.Errorf("got %v, %v; want %v", got, ok, person)
	}
	for _, p := range []Pattern{{}, PatternFor(BCID{}), PatternFor(BCID{"bioid", 9876, 0})} {
		if _, ok := p.BCID(); ok || p.Match(person) || p.Match(BCID{"bioid", 9876, 0}) || p.Match(BCID{}) {
			t.Errorf("pattern %q matches somebody", p)
		}
	}
	for _, in := range []string{"*/9876/1", "bioid/*/1", "bioid/9876/*"} {
		p, err := ParsePattern(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := p.BCID(); ok {
			t.Errorf("pattern %q is one person", in)
		}
	}
}

func TestPatternString(t *testing.T) {
	for _, want := range []string{"bioid/9876/12345", "*/9876/12345", "bioid/*/12345", "bioid/9876/*", "*/*/*", "b/-1/-1"} {
		p, err := ParsePattern(want)
		if got := p.String(); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("bioid/9876/*", "bioid/9876/12345")
	f.Add("*/*/*", "bioid/9876/0")
	f.Add("bioid.9876.1", "bioid/9876/12")
	f.Add("*/-1/-1", "a/-1/-1")
	f.Fuzz(func(t *testing.T, pattern, bcid string) {
		p, err := ParsePattern(pattern)
		if err != nil {
			if p != (Pattern{}) {
				t.Fatalf("%q: an error, and yet %+v", pattern, p)
			}
			return
		}
		if again, err := ParsePattern(p.String()); err != nil || again != p {
			t.Fatalf("%q: String gives %q, which is %+v, %v", pattern, p, again, err)
		}
		b, err := ParseBCID(bcid)
		if err != nil {
			return
		}
		if p.Match(b) && !b.IsPerson() {
			t.Fatalf("%q matches %q, which is nobody", pattern, bcid)
		}
		if one, ok := p.BCID(); ok && p.Match(b) != (one == b) {
			t.Fatalf("%q is %v but matches %q: %v", pattern, one, bcid, p.Match(b))
		}
		if PatternFor(b).Match(b) != b.IsPerson() {
			t.Fatalf("the pattern for %v does not match it", b)
		}
	})
}
