package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// desk is where an operator works: beside a Caddy that runs, with its configuration and the variables that it takes its secret from.
type desk struct {
	*caddyProcess
	service *bwstest.Server
	env     []string
}

// cliSecret is the App-Secret, which nothing may show.
const cliSecret = "s3cret-of-the-desk"

// startDesk runs a Caddy with the services default and down.
func startDesk(t *testing.T) *desk {
	t.Helper()
	t.Setenv("CLI_APP_SECRET", cliSecret)
	d := &desk{service: bwstest.NewServer(t, bwstest.Config{AppID: "desk", AppSecret: cliSecret})}
	option := func(name, endpoint string) string {
		return fmt.Sprintf("\tbws %s {\n\t\tendpoint %s\n\t\tapp_id desk\n\t\tapp_secret {env.CLI_APP_SECRET}\n\t}\n", name, endpoint)
	}
	d.caddyProcess = startCaddy(t, option("", d.service.URL)+option("down", "http://"+freeAddr(t)+bwstest.Base),
		"{addr} {\n\tbws {\n\t\tsession\n\t}\n\trespond \"app\"\n}")
	d.env = append(environ(d.Home), "BWS_TOKEN=")
	return d
}

// command is `caddy bws` with these arguments, where the Caddyfile is.
func (d *desk) command(stdin string, args ...string) *exec.Cmd {
	c := exec.Command(binary, append([]string{"bws"}, args...)...)
	c.Dir, c.Env, c.Stdin = d.Home, d.env, strings.NewReader(stdin)
	return c
}

// runs runs a command, checks its exit code and that it says what it should and no secret, and returns its standard output.
func (d *desk) runs(code int, says, stdin string, args ...string) string {
	d.t.Helper()
	var out, errs strings.Builder
	c := d.command(stdin, args...)
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		d.t.Fatal(err)
	}
	if got := c.ProcessState.ExitCode(); got != code {
		d.t.Errorf("%q: exit code %d, want %d\n%s%s", args, got, code, out.String(), errs.String())
	}
	said := out.String() + errs.String()
	if !strings.Contains(said, says) {
		d.t.Errorf("%q does not say %q:\n%s", args, says, said)
	}
	secrets := []string{cliSecret, basicAuth("desk", cliSecret)}
	if token := strings.TrimSpace(stdin); strings.HasPrefix(token, "eyJ") {
		secrets = append(secrets, token)
	}
	for _, secret := range secrets {
		if strings.Contains(said, secret) {
			d.t.Errorf("%q shows %s:\n%s", args, secret, said)
		}
	}
	// What Caddy would log of loading a configuration is no part of an answer.
	if strings.Contains(said, `"level"`) || strings.Contains(said, "INFO") {
		d.t.Errorf("%q logs:\n%s", args, said)
	}
	return out.String()
}

// Every command does what it says with a real Caddy, and exits with what scripts go by.
func TestCLI(t *testing.T) {
	d := startDesk(t)
	eventually(t, "the services are ready", func() bool { return d.ask(http.MethodGet, "/bws/health", "").StatusCode == http.StatusOK })
	admin, person := "--address="+d.Admin, "--bcid="+alice.String()

	d.runs(0, "Available Commands:", "")
	d.runs(2, "is it probe?", "", "prob")
	d.runs(0, "the credentials are accepted", "", "probe", "default")
	d.runs(1, "connection refused", "", "probe")
	d.runs(2, "--bcid is missing", "", "token")

	token := d.runs(0, "", "", "token", person)
	d.runs(0, "bcid       "+alice.String(), token, "inspect")
	d.runs(3, "Gates deny it: pending", token, "result")
	d.service.Perform(strings.TrimSpace(token), success)
	d.runs(0, alice.String()+" has been verified", token, "result")

	d.runs(0, "service     down", "", "services", "--config", "Caddyfile") // which has the address
	d.runs(0, "used from 20", "", "rotate", "default", admin)
	d.runs(3, "no service of that name", "", "rotate", "nosuch", admin)
	url, header := "http://"+d.Addr, "X-BWS-Token: "+strings.TrimSpace(token)
	if got := do(t, http.MethodGet, url, header); got.StatusCode != http.StatusOK {
		t.Fatalf("before the revocation: %d %s", got.StatusCode, got.Body)
	}
	d.runs(0, "Revoked: the token and its session, at default, down", token, "revoke", "--token", admin)
	if got := do(t, http.MethodGet, url, header); got.reason() != "revoked" {
		t.Errorf("after the revocation: %d %s", got.StatusCode, got.Body)
	}
	d.runs(3, "write one person as storage/partition/class", "", "revoke", "--bcid", "alice", admin)

	if out := d.runs(0, `"remembered_tokens": 0`, "", "services", admin, "--json"); !json.Valid([]byte(out)) {
		t.Errorf("services: not JSON: %s", out)
	}
	for _, secret := range []string{cliSecret, strings.TrimSpace(token)} {
		if strings.Contains(d.logs.String(), secret) {
			t.Errorf("Caddy's log shows %s", secret)
		}
	}
}

// The credentials are those of the configuration as it is now, wherever their values come from.
func TestCLICredentials(t *testing.T) {
	d := startDesk(t)
	envfile := filepath.Join(d.Home, "env")
	if err := os.WriteFile(envfile, []byte("# of Caddy\nCLI_APP_SECRET="+cliSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := d.env
	d.env = slices.Concat(with, []string{"CLI_APP_SECRET=wrong"})
	d.runs(3, "compare app_id, app_secret and endpoint", "", "probe", "default")
	d.env = slices.DeleteFunc(with, func(variable string) bool { return strings.HasPrefix(variable, "CLI_APP_SECRET=") })
	d.runs(1, "{env.CLI_APP_SECRET} is empty", "", "probe", "default")
	d.runs(0, "the credentials are accepted", "", "probe", "default", "--envfile", envfile)
}

// Security case 101: a command that needs a secret and a token runs without either in its command line, which every process can read.
func TestCLICommandLine(t *testing.T) {
	d := startDesk(t)
	token := strings.TrimSpace(d.runs(0, "", "", "token", "--bcid", alice.String()))
	asked := d.service.Calls("/result")
	d.service.ScriptAlways("/result", bwstest.Answer{Hang: true})
	c := d.command(token, "result")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "BWS is asked", func() bool { return d.service.Calls("/result") > asked })
	line := readFile(t, fmt.Sprintf("/proc/%d/cmdline", c.Process.Pid))
	_ = c.Process.Kill()
	_ = c.Wait()
	if !strings.HasSuffix(line, "bws\x00result\x00") {
		t.Errorf("the command line is %q", line)
	}
	for _, secret := range []string{token, cliSecret} {
		if strings.Contains(line, secret) {
			t.Errorf("the command line is %q", line)
		}
	}
	d.runs(2, "no argument is expected", "", "result", token)
}

// The development binary has an emulator to begin with: one command runs it, and another finds that it is there.
func TestCLIEmulate(t *testing.T) {
	t.Setenv("BWS_APP_SECRET", cliSecret)
	addr, home := freeAddr(t), t.TempDir()
	emulator := exec.Command(binary, "bws", "emulate", "--listen", addr, "--app-id", "desk", "--enrolled", alice.String())
	var log logBuffer
	emulator.Stdout, emulator.Stderr = &log, &log
	if err := emulator.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the emulator listens", func() bool { return listens(addr) })
	config := "{\n\tbws {\n\t\tendpoint http://" + addr + "/extension\n\t\tapp_id desk\n\t\tapp_secret {env.BWS_APP_SECRET}\n\t}\n}\n"
	if err := os.WriteFile(filepath.Join(home, "Caddyfile"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &desk{caddyProcess: &caddyProcess{t: t, Home: home}, env: environ(home)}
	d.runs(0, "the credentials are accepted", "", "probe")

	if err := emulator.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := emulator.Wait(); err != nil {
		t.Errorf("the emulator ends with %v", err)
	}
	if said := log.String(); !strings.Contains(said, "endpoint   http://"+addr+"/extension\n") || strings.Contains(said, cliSecret) {
		t.Errorf("the emulator says\n%s", said)
	}
}
