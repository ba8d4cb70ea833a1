package integration

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// checked is what `caddy bws check --json` says, as far as scripts need it.
type checked struct {
	Decision string
	Reason   string
	Steps    []struct {
		Handler string
		Gate    *struct {
			Decision, Reason, Found, Demanded, Meaning, Remedy string
			Answer                                             *struct{ Kind string }
		}
	}
	Warnings []string
}

// check runs `caddy bws check` on an example, without any secret, and returns what it prints and exits with.
func check(t *testing.T, example string, args ...string) (out string, code int) {
	t.Helper()
	command := exec.Command(binary, append([]string{"bws", "check", "--config", "../examples/" + example + "/Caddyfile"}, args...)...)
	home := t.TempDir()
	command.Env = append(environ(home), "BWS_APP_ID=id")
	var stderr strings.Builder
	command.Stderr = &stderr
	text, err := command.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if code == 1 || code == 2 {
		t.Logf("caddy bws check %s: %s", strings.Join(args, " "), stderr.String())
	}
	left, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("%s is left in the home directory", entry.Name())
	}
	return string(text), code
}

// What the examples would do with requests that nobody has sent, while neither they nor BWS run.
func TestCheckExamples(t *testing.T) {
	const (
		alice = `{"Success":true,"Action":"verification","BCID":"bws/1/42"}`
		bob   = `{"Success":true,"Action":"verification","BCID":"bws/1/43"}`
	)
	for name, test := range map[string]struct {
		example, request, flags string
		code                    int
		decision, reason, kind  string
	}{
		"first visit":    {"quickstart", "http://localhost:8080/", "-H Accept:text/html", 3, "deny", "no_token", "login"},
		"verified":       {"quickstart", "http://localhost:8080/", "--result " + alice, 0, "allow", "", ""},
		"somebody else":  {"quickstart", "http://localhost:8080/", "--result " + bob, 3, "deny", "bcid_not_allowed", "problem"},
		"the app itself": {"quickstart", "http://localhost:8081/", "", 0, "open", "", ""},
		"no such server": {"quickstart", "http://localhost:8088/", "", 1, "", "", ""},
		"no such fault":  {"quickstart", "http://localhost:8080/", "--fault nonsense", 2, "", "", ""},
		"logging out":    {"cluster", "http://localhost:8082/logout", "", 0, "open", "", ""},
		"spent": {
			"cluster", "POST http://localhost:8082/transfer", "--fault spent --result " + alice, 3, "deny", "spent", "problem",
		},
		"session": {"cluster", "http://localhost:8082/", "--session-age 20m --result " + alice, 0, "allow", "", ""},
		"idle session": {
			"cluster", "http://localhost:8082/", "--session-age 20m --idle 11m --result " + alice, 3, "deny", "session_expired", "problem",
		},
		"too old": {
			"basic-auth", "POST http://localhost:8080/transfer", "--user alice --age 3m --result " + alice, 3, "deny", "too_old", "problem",
		},
		"not enrolled": {
			"basic-auth", "http://localhost:8080/", "--user carol --result " + alice, 3, "deny", "bcid_not_allowed", "problem",
		},
		"over TLS":      {"production", "https://app.example.com/", "--user alice --result " + alice, 0, "allow", "", ""},
		"the open page": {"production", "https://app.example.com/health", "", 0, "open", "", ""},
		"BWS out of reach": {
			"php", "http://localhost:8080/", "--fault service_unavailable -H Accept:text/html", 3, "deny", "service_unavailable", "page",
		},
		"first factor": {"legacy", "http://localhost:8080/", "--user bob --result " + bob, 0, "allow", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--json", "--request", test.request}, strings.Fields(test.flags)...)
			out, code := check(t, test.example, args...)
			if code != test.code {
				t.Fatalf("exits with %d, want %d: %s", code, test.code, out)
			}
			if code == 1 || code == 2 {
				if out != "" {
					t.Errorf("prints %s", out)
				}
				return
			}
			var got checked
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatal(err)
			}
			if got.Decision != test.decision || got.Reason != test.reason {
				t.Errorf("got %s %s, want %s %s", got.Decision, got.Reason, test.decision, test.reason)
			}
			if test.reason == "" {
				return
			}
			for _, step := range got.Steps {
				if g := step.Gate; g != nil && g.Reason == test.reason {
					if g.Answer == nil || g.Answer.Kind != test.kind || g.Found == "" || g.Demanded == "" || g.Meaning == "" || g.Remedy == "" {
						t.Errorf("not explained: %s", out)
					}
					return
				}
			}
			t.Errorf("no gate says why: %s", out)
		})
	}
}

// People get the same in words.
func TestCheckInWords(t *testing.T) {
	out, code := check(t, "quickstart", "-r", "http://localhost:8080/", "--fault", "pending")
	if code != 3 || !strings.Contains(out, "is denied: pending") || !strings.Contains(out, "What to do: ") {
		t.Errorf("exits with %d and says\n%s", code, out)
	}
	out, code = check(t, "quickstart", "--reason", "pending")
	if code != 0 || !strings.Contains(out, "pending (401)") {
		t.Errorf("exits with %d and says\n%s", code, out)
	}
}
