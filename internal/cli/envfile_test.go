package cli

import (
	"maps"
	"os"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

var envfiles = map[string]map[string]string{
	"":                                 {},
	"# A=b\n\n  \nA=b":                 {"A": "b"},
	"A=b=c\nB=":                        {"A": "b=c", "B": ""},
	"export A=b\n  C=d  ":              {"A": "b", "C": "d"},
	"A=$HOME ${B} `c`":                 {"A": "$HOME ${B} `c`"},
	"A=b # comment":                    {"A": "b"},
	`A="b c"`:                          {"A": "b c"},
	"A='b c'":                          {"A": "b c"},
	"A=\"b\nc\"\nD=e":                  {"A": "b\nc", "D": "e"},
	"A=\"b \\\" c\nd\"":                {"A": "b \" c\nd"},
	"A=b'c":                            {"A": "b'c"},
	`A="b \" c"`:                       {"A": `b \" c`},
	`A="b#c"`:                          {"A": "b"},
	`A="`:                              {"A": ""},
	"A=\"b\\\"\nc\"":                   {"A": "b\"\nc"},
	"A='b\n\n # c'\n":                  {"A": "b\n\n # c"},
	"A=\"b\r\nc\"\r\n":                 {"A": "b\nc"},
	"A=1\nA=2":                         {"A": "2"},
	"A=\"never\nclosed":                {"A": "never\nclosed"},
	"BWS_APP_SECRET=s3cret/with+signs": {"BWS_APP_SECRET": "s3cret/with+signs"},
}

func TestParseEnvfile(t *testing.T) {
	for text, want := range envfiles {
		got, err := parseEnvfile(strings.NewReader(text))
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

// Caddy has the same values from the same file, or a command would find fault with a secret that Caddy has right.
func TestParseEnvfileAsCaddyDoes(t *testing.T) {
	stdout := os.Stdout
	t.Cleanup(func() { os.Stdout = stdout })
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	os.Stdout = null // where Caddy's command prints the environment

	for text, want := range envfiles {
		for key := range want {
			t.Setenv(key, "")
			_ = os.Unsetenv(key)
		}
		environ := &cobra.Command{Use: "environ"}
		caddycmd.Commands()["environ"].CobraFunc(environ)
		environ.SetArgs([]string{"--envfile", writeFile(t, "env", text)})
		if err := environ.Execute(); err != nil {
			t.Fatal(err)
		}
		for key, value := range want {
			if got, set := os.LookupEnv(key); !set || got != value {
				t.Errorf("%q: Caddy has %q for %s, want %q", text, got, key, value)
			}
		}
	}
}

func TestParseEnvfileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"A=b\nhush":                   "line 2 is not of the form KEY=VALUE",
		"=hush":                       "line 1 is not of the form",
		"A B=hush":                    "line 1 is not of the form",
		"\n\nA= hush":                 "line 3 has a blank before the value",
		"A=\thush":                    "line 1 has a blank before the value",
		"A=\"b\nc\"\nhush":            "line 3 is not of the form",
		strings.Repeat("hush", 1<<15): "token too long",
	} {
		_, err := parseEnvfile(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%.20q: got %v, want %q", text, err, want)
		}
	}
}

// What is set already stays, as with Caddy.
func TestLoadEnvfile(t *testing.T) {
	t.Setenv("CADDY_BWS_SET", "before")
	t.Setenv("CADDY_BWS_UNSET", "")
	_ = os.Unsetenv("CADDY_BWS_UNSET")
	d := newDesk(t)
	file := writeFile(t, "env", "CADDY_BWS_SET=after\nCADDY_BWS_UNSET=after\n")
	d.run("", "probe", "default", "--config", d.config, "--envfile", file).check(0)
	if os.Getenv("CADDY_BWS_SET") != "before" || os.Getenv("CADDY_BWS_UNSET") != "after" {
		t.Errorf("got %q and %q", os.Getenv("CADDY_BWS_SET"), os.Getenv("CADDY_BWS_UNSET"))
	}
	r := d.run("", "probe", "--config", d.config, "--envfile", "nowhere")
	r.check(exitFault, "--envfile: open nowhere: no such file")
	r.silent()
	bad := writeFile(t, "env", "hush")
	d.run("", "probe", "--config", d.config, "--envfile", bad).check(exitFault, "line 1 is not of the form KEY=VALUE")
}
