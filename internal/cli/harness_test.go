package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// start is when the tests take place.
var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

var (
	alice     = bws.BCID{Storage: "bws", Partition: 1, Class: 42}
	bob       = bws.BCID{Storage: "bws", Partition: 1, Class: 43}
	partition = bws.BCID{Storage: "bws", Partition: 1}
)

// desk is where an operator works: a service, a configuration, a clock.
type desk struct {
	t       *testing.T
	service *bwstest.Server
	// secret is what the configuration has for the service's App-Secret.
	secret string
	now    time.Time
	config string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	t.Setenv(tokenVariable, "")
	d := &desk{t: t, now: start, secret: bwstest.AppSecret, config: writeFile(t, "caddy.json", "{}")}
	d.service = bwstest.NewServer(t, bwstest.Config{Now: func() time.Time { return d.now }})
	return d
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// connect returns a client of the service.
func (d *desk) connect() (*bws.Client, error) {
	return bws.NewClient(bws.Config{Endpoint: d.service.URL, AppID: bwstest.AppID, AppSecret: d.secret, Timeout: time.Second})
}

// services are those of the desk's configuration.
func (d *desk) services([]byte) ([]Service, error) {
	return []Service{
		{"broken", func() (*bws.Client, error) { return nil, errors.New("app_secret: it is empty") }},
		{"default", d.connect},
	}, nil
}

// ran is what came of a command.
type ran struct {
	t           *testing.T
	out, errors string
	code        int
}

// run runs a command of `caddy bws` with a standard input.
func (d *desk) run(stdin string, args ...string) *ran {
	d.t.Helper()
	return runWith(d.t, &environment{services: d.services, now: func() time.Time { return d.now }}, stdin, args...)
}

// runConfigured is run for commands that read a configuration.
func (d *desk) runConfigured(stdin string, args ...string) *ran {
	d.t.Helper()
	return d.run(stdin, append(args, "--config", d.config)...)
}

func runWith(t *testing.T, e *environment, stdin string, args ...string) *ran {
	t.Helper()
	cmd := &cobra.Command{Use: "bws"}
	e.setup(cmd)
	var out, errs bytes.Buffer
	cmd.SetArgs(append([]string{}, args...)) // not nil, which stands for those of the test
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err := cmd.Execute()
	r := &ran{t: t, out: out.String(), errors: errs.String()}
	if err == nil {
		return r
	}
	failure, ok := errors.AsType[*ended](err)
	if !ok {
		t.Fatalf("%v ends with an error that nobody has reported: %v", args, err)
	}
	r.code = failure.code
	// What Caddy exits with; it needs no error of its own for 1.
	if want := fmt.Sprintf("exiting with status %d", r.code); r.code > 1 && (failure.status == nil || failure.status.Error() != want) {
		t.Errorf("%v: Caddy is told %v, want %q", args, failure.status, want)
	}
	return r
}

// check checks the exit code and that the texts occur in what was printed.
func (r *ran) check(code int, texts ...string) {
	r.t.Helper()
	if r.code != code {
		r.t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.out, r.errors)
	}
	for _, text := range texts {
		if !strings.Contains(r.out+r.errors, text) {
			r.t.Errorf("nothing says %q:\n%s%s", text, r.out, r.errors)
		}
	}
	if (code == exitFault || code == exitUsage) && r.errors == "" && r.out == "" {
		r.t.Error("nothing says why")
	}
}

// silent checks that the standard output is empty, as it is for faults and wrong usage.
func (r *ran) silent() {
	r.t.Helper()
	if r.out != "" {
		r.t.Errorf("the standard output has\n%s", r.out)
	}
}

// tokenID is what differs from token to token.
var tokenID = regexp.MustCompile(`"token_id": "[0-9a-f-]{36}"`)

// golden compares the output with a file, in which the words of replace stand for what differs from run to run.
func (r *ran) golden(name string, replace ...string) {
	r.t.Helper()
	got := strings.NewReplacer(replace...).Replace(r.out)
	got = tokenID.ReplaceAllString(got, `"token_id": "<id>"`)
	got = regexp.MustCompile(`"seconds": [0-9.]+`).ReplaceAllString(got, `"seconds": 0`)
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	if got != string(want) {
		r.t.Errorf("%s differs; others rely on its names. Got\n%s", file, got)
	}
}

// token returns a token and what the last operation with it came to, if anything.
func (d *desk) token(spec bwstest.TokenSpec, outcome *bwstest.Outcome) string {
	token := d.service.Token(spec)
	if outcome != nil {
		d.service.Perform(token, *outcome)
	}
	return token
}
