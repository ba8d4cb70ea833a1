package emulator

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
)

// emulate runs the command and returns what it has printed. A command that does not end by itself is ended.
func emulate(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	cmd := emulateCommand()
	var stdout, stderr bytes.Buffer
	cmd.SetArgs(append([]string{}, args...))
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	err = cmd.ExecuteContext(ctx)
	return stdout.String(), stderr.String(), err
}

func TestEmulateRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		secret string
		args   []string
		want   string
	}{
		"no secret":            {"", nil, "there is no App-Secret: name its file with --app-secret-file, or set BWS_APP_SECRET"},
		"no file":              {"", []string{"--app-secret-file", "hush"}, "--app-secret-file: the file cannot be read: no such file"},
		"an empty file":        {"hush", []string{"--app-secret-file", os.DevNull}, "there is no App-Secret"},
		"no App-ID":            {"hush", []string{"--app-id", ""}, "--app-id: use one"},
		"a colon":              {"hush", []string{"--app-id", "a:b"}, "--app-id: use one"},
		"nobody":               {"hush", []string{"--enrolled", "alice"}, `--enrolled: "alice" is not a BCID`},
		"a partition":          {"hush", []string{"--enrolled", "bws/1/0"}, `--enrolled: "bws/1/0" is a whole partition`},
		"everybody":            {"hush", []string{"--listen", ":9080"}, "--listen: use an address of this machine"},
		"every address":        {"hush", []string{"--listen", "0.0.0.0:0"}, "--listen: use an address of this machine"},
		"another machine":      {"hush", []string{"--listen", "bws.example:80"}, "--listen: use an address of this machine"},
		"a lookalike":          {"hush", []string{"--listen", "127.0.0.1.example:80"}, "--listen: use an address of this machine"},
		"no port":              {"hush", []string{"--listen", "localhost"}, "--listen: use an address of this machine"},
		"a port of no kind":    {"hush", []string{"--listen", "localhost:nosuch"}, "listen tcp"},
		"a secret as argument": {"hush", []string{"hush"}, "no argument is expected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("BWS_APP_SECRET", test.secret)
			out, errs, err := emulate(t, test.args...)
			if err == nil || out != "" || !strings.Contains(errs, test.want) || strings.Contains(errs, "hush") {
				t.Errorf("got %v\n%s%s, want %q", err, out, errs, test.want)
			}
		})
	}
}

func TestEmulate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args                []string
		secret, placeholder string
	}{
		"by the environment": {nil, "from-env", "app_secret {env.BWS_APP_SECRET}\n"},
		"by a file":          {[]string{"--app-secret-file", file}, "from-file", "app_secret {file." + file + "}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("BWS_APP_SECRET", "from-env")
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			printed, ended := newPrinted(), make(chan error, 1)
			cmd := emulateCommand()
			cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0", "--app-id", "mine", "--enrolled", "bws/1/42,bws/1/43", "--enrolled", "bws/1/44"},
				test.args...))
			cmd.SetOut(printed)
			go func() { ended <- cmd.ExecuteContext(ctx) }()

			var welcome string
			select {
			case welcome = <-printed.first:
			case err := <-ended:
				t.Fatalf("it ends with %v", err)
			}
			if !strings.Contains(welcome, "\tapp_id     mine\n") || !strings.Contains(welcome, test.placeholder) ||
				!strings.Contains(welcome, "/bws/performtask\n") || strings.Contains(welcome, test.secret) {
				t.Errorf("it says\n%s", welcome)
			}
			_, rest, _ := strings.Cut(welcome, "endpoint   ")
			endpoint, _, _ := strings.Cut(rest, "\n")
			client, err := bws.NewClient(bws.Config{Endpoint: endpoint, AppID: "mine", AppSecret: test.secret})
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdleConnections()
			if _, err := client.Status(t.Context()); err != nil {
				t.Error(err)
			}
			stop()
			if err := <-ended; err != nil {
				t.Errorf("it ends with %v", err)
			}
			if _, err := client.Status(t.Context()); err == nil {
				t.Error("it still answers")
			}
		})
	}
}

// printed hands over the first text that is written to it.
type printed struct{ first chan string }

func newPrinted() *printed { return &printed{make(chan string, 1)} }

func (p *printed) Write(text []byte) (int, error) {
	p.first <- string(text)
	return len(text), nil
}

func TestEmulateHelp(t *testing.T) {
	cmd := &cobra.Command{Use: "bws"}
	cmd.AddCommand(emulateCommand())
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"emulate", "--help"})
	if err := cmd.Execute(); err != nil || !strings.Contains(out.String(), "for development") || !strings.Contains(out.String(), "caddy bws emulate --listen") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
