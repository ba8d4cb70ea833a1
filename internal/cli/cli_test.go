package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func TestHelp(t *testing.T) {
	setFurther(t, func() *cobra.Command { return Check(nil) })
	d := newDesk(t)
	r := d.run("")
	r.check(0)
	cmd := &cobra.Command{Use: "bws"}
	new(environment).setup(cmd)
	if len(cmd.Commands()) < 8 {
		t.Fatalf("there are %d commands", len(cmd.Commands()))
	}
	for _, c := range cmd.Commands() {
		if !strings.Contains(r.out, "\n  "+c.Name()+" ") {
			t.Errorf("the help does not list %s", c.Name())
		}
		if c.Long == "" || c.Args == nil || c.Flags().Lookup("json") == nil {
			t.Errorf("%s has no help, no check of its arguments, or no --json", c.Name())
		}
		if !strings.Contains(c.Example, "caddy bws "+c.Name()) {
			t.Errorf("%s has no example", c.Name())
		}
		help := d.run("", c.Name(), "--help")
		help.check(0, "Exits with", "Examples:")
		for line := range strings.Lines(c.Long) {
			if len(strings.TrimRight(line, "\n")) > 84 {
				t.Errorf("%s: the help has a line too long for a terminal: %s", c.Name(), line)
			}
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	d := newDesk(t)
	for word, want := range map[string]string{"prob": "is it probe?", "xyzzy": "see bws --help", "": "see bws --help"} {
		r := d.run("", word)
		r.check(exitUsage, "there is no such command", want)
		r.silent()
	}
}

func TestCompletion(t *testing.T) {
	d := newDesk(t)
	for want, args := range map[string][]string{
		"verify\nidentify\nlivenessdetection\nenroll\n:4\n": {"token", "--task", ""},
		"rotate\tCreates": {"ro"},
		":4\n":            {"probe", ""},
	} {
		if r := d.run("", append([]string{"__complete"}, args...)...); !strings.HasPrefix(r.out, want) {
			t.Errorf("%q: got %q, want %q", args, r.out, want)
		}
	}
}

// setFurther has other packages add these commands, and no others.
func setFurther(t *testing.T, commands ...func() *cobra.Command) {
	t.Helper()
	before := further
	t.Cleanup(func() { further = before })
	further = nil
	for _, command := range commands {
		Add(command)
	}
}

// A command of another package is run, and ends, as those of this one.
func TestAdd(t *testing.T) {
	setFurther(t, func() *cobra.Command {
		return &cobra.Command{Use: "more", Args: NoArguments, RunE: Run(func(cmd *cobra.Command, _ []string) error {
			cmd.Println("more")
			return Usage("not %s", "so")
		})}
	})
	newDesk(t).run("", "more").check(exitUsage, "more", "bws more: not so")
}

// Security case 101: what was meant for the standard input and has come into the command line, is not printed on top.
func TestSecretsInTheCommandLineAreNotRepeated(t *testing.T) {
	const secret = "eyJzZWNyZXQ"
	d := newDesk(t)
	token := d.token(bwstest.TokenSpec{BCID: alice}, nil)
	for _, args := range [][]string{
		{secret},
		{"--" + secret},
		{"-" + secret},
		{"inspect", secret},
		{"inspect", "--token", secret},
		{"inspect", "--token=" + secret},
		{"inspect", "--json=" + secret},
		{"inspect", "--token-file", secret},
		{"inspect", "--" + secret},
		{"inspect", "-" + secret},
		{"inspect", "--=" + secret},
		{"result", "--config", d.config, secret},
		{"result", "--config", d.config, "--service", secret},
		{"token", "--config", d.config, "--max-tries", secret, "--bcid", "bws/1/42"},
		{"token", "--config", d.config, "--task", secret, "--bcid", "bws/1/42"},
		{"token", "--config", d.config, "--bcid", secret},
		{"revoke", "--token", secret},
		{"revoke", "--token=" + secret},
		{"revoke", "--token", "--token-file", secret},
		{"rotate", secret, secret},
		{"services", secret},
		{"probe", "--config", d.config, secret},
		{"probe", "--config", d.config, "default", secret},
	} {
		r := d.run(token, args...)
		if r.code != exitUsage && !slices.Contains(args, "--token-file") {
			t.Errorf("%v: exit code %d", args, r.code)
		}
		r.silent()
		if strings.Contains(r.errors, secret) {
			t.Errorf("%v: %s", args, r.errors)
		}
	}
}
