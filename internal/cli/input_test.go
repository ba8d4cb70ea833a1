package cli

import (
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func TestWhereATokenComesFrom(t *testing.T) {
	d := newDesk(t)
	persons := map[string]string{}
	tokenOf := func(where string, class int32) string {
		person := alice
		person.Class = class
		persons[where] = person.String()
		return d.token(bwstest.TokenSpec{BCID: person}, nil)
	}
	stdin := "\n  " + tokenOf("stdin", 1) + " \r\n"
	variable, file := tokenOf("variable", 2), writeFile(t, "token", tokenOf("file", 3)+"\n")

	for _, test := range []struct {
		name, variable string
		args           []string
		want           string
	}{
		{"stdin", "", nil, "stdin"},
		{"the variable before stdin", variable, nil, "variable"},
		{"a file before the variable", variable, []string{"--token-file", file}, "file"},
		{"stdin by name", variable, []string{"-f", "-"}, "stdin"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(tokenVariable, test.variable)
			d.run(stdin, append([]string{"inspect"}, test.args...)...).check(0, "bcid       "+persons[test.want]+"\n")
		})
	}
}

func TestNoToken(t *testing.T) {
	d := newDesk(t)
	for name, test := range map[string]struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		"nothing":       {"", nil, exitUsage, "there is no token: pipe it in"},
		"blanks":        {" \r\n\t", nil, exitUsage, "there is no token: pipe it in"},
		"an empty file": {"", []string{"-f", writeFile(t, "token", "")}, exitUsage, "there is no token"},
		"no file":       {"", []string{"-f", "/nowhere/token"}, exitFault, "--token-file: the file cannot be read: no such file"},
		"a folder":      {"", []string{"-f", t.TempDir()}, exitFault, "--token-file: the file cannot be read: is a directory"},
		"a flood":       {strings.Repeat("x", maxInput+1), nil, exitUsage, "longer than a token"},
		"rubbish":       {strings.Repeat("x", maxInput), nil, exitNegative, "not a well-formed token"},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.run(test.stdin, append([]string{"inspect"}, test.args...)...)
			r.check(test.code, "bws inspect: ", test.want)
			r.silent()
		})
	}
}
