package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMutants(t *testing.T) {
	const source = `package p

const most = 64

func f(a int, s string) bool {
	if a == 'x' && !known {
		return true
	}
	switch a {
	case 1, 2:
		a = 3
	}
	switch {
	case a < most:
	}
	return a == 'x'
}
`
	file := filepath.ToSlash(filepath.Join(t.TempDir(), "p.go"))
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := mutantsOf(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range found {
		names = append(names, strings.TrimPrefix(m.name, file+" "))
		if string(m.source) == source {
			t.Errorf("%s: nothing is changed", m.name)
		}
	}
	want := []string{
		"const: 64 -> (64 + 1)",
		"f: a == 'x' && !known -> !(a == 'x' && !known)",
		"f: a == 'x' && !known -> a == 'x' || !known",
		"f: a == 'x' -> a != 'x'",
		"f: 'x' -> ('x' + 1)",
		"f: 'x' -> ('x' - 1)",
		"f: !known -> known",
		"f: true -> false",
		"f: , 2 -> nothing",
		"f: : a = 3 -> :",
		"f: 1 -> (1 + 1)",
		"f: 2 -> (2 + 1)",
		"f: a = 3 -> nothing",
		"f: 3 -> (3 + 1)",
		"f: a < most -> !(a < most)",
		"f: a < most -> a <= most",
		"f: a == 'x' -> a != 'x' (2)",
		"f: 'x' -> ('x' + 1) (2)",
		"f: 'x' -> ('x' - 1) (2)",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
}

func TestParseAllowed(t *testing.T) {
	if got, err := parseAllowed("# a\n\nx y: a -> b\tbecause\n"); err != nil || len(got) != 1 || got["x y: a -> b"] != "because" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := parseAllowed("x y: a -> b\n"); err == nil {
		t.Errorf("no reason: got %q", got)
	}
}
