package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/explain"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// checkRun runs the command with a report in place of a rehearsal, and returns what was asked and printed.
func checkRun(t *testing.T, report *explain.Report, stdin string, args ...string) (*explain.Question, string, error) {
	t.Helper()
	var asked *explain.Question
	cmd := Check(func(_ context.Context, _ []byte, q *explain.Question) (*explain.Report, error) {
		asked = q
		return report, nil
	})
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetArgs(append([]string{"--config", writeFile(t, "caddy.json", "{}")}, args...))
	err := cmd.ExecuteContext(t.Context())
	return asked, out.String(), err
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	return exitFault
}

// The flags are the question.
func TestCheckAsks(t *testing.T) {
	file := writeFile(t, "result.json", `{"Success":true}`)
	age := 20 * time.Minute
	for name, test := range map[string]struct {
		args []string
		want explain.Question
	}{
		"a URL":    {[]string{"-r", "https://a/"}, explain.Question{Method: "GET", URL: "https://a/"}},
		"a method": {[]string{"-r", "post https://a/"}, explain.Question{Method: "POST", URL: "https://a/"}},
		"a client": {
			[]string{"-r", "https://a/", "--client-ip", "::1", "--user", "alice", "--server", "s", "-H", "A: b", "-H", "C: d, e"},
			explain.Question{Method: "GET", URL: "https://a/", Client: "::1", User: "alice", Server: "s", Header: []string{"A: b", "C: d, e"}},
		},
		"a result": {
			[]string{"-r", "https://a/", "--result", ` {"Success":false}`},
			explain.Question{Method: "GET", URL: "https://a/", Result: []byte(` {"Success":false}`)},
		},
		"a file": {
			[]string{"-r", "https://a/", "--result", file}, explain.Question{Method: "GET", URL: "https://a/", Result: []byte(`{"Success":true}`)},
		},
		"the input": {
			[]string{"-r", "https://a/", "--token-file", "-"}, explain.Question{Method: "GET", URL: "https://a/", Token: "input"},
		},
		"claims": {
			[]string{
				"-r", "https://a/", "--age", "-1d", "--lifetime", "5m", "--task", "identify,challenge", "--bcid", "a/1/0", "--app-id", "x",
			},
			explain.Question{Method: "GET", URL: "https://a/", Claims: explain.Claims{
				Given: true, Age: -24 * time.Hour, Lifetime: 5 * time.Minute, Task: "identify", Conditions: []string{"challenge"},
				BCID: "a/1/0", App: "x",
			}},
		},
		"a session": {
			[]string{"-r", "https://a/", "--session-age", "20m", "--idle", "5m", "--fault", "revoked", "--task", "verify"},
			explain.Question{
				Method: "GET", URL: "https://a/", SessionAge: &age, Idle: 5 * time.Minute, Fault: policy.Revoked,
				Claims: explain.Claims{Task: "verify", Conditions: []string{}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked, out, err := checkRun(t, new(explain.Report), " input\n", test.args...)
			if err != nil {
				t.Fatal(err, out)
			}
			if test.want.Client == "" {
				test.want.Client = "192.0.2.1"
			}
			test.want.Now = asked.Now
			if !reflect.DeepEqual(*asked, test.want) {
				t.Errorf("got  %+v\nwant %+v", *asked, test.want)
			}
		})
	}
}

// What cannot be asked ends with the code for usage, and says what to write.
func TestCheckRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"write a URL":           {},
		"such as 'POST":         {"-r", "GET https://a/ HTTP/1.1"},
		"use one of pending":    {"-r", "https://a/", "--fault", "no_token"},
		"give --session-age":    {"-r", "https://a/", "--idle", "1m"},
		"write a number with":   {"-r", "https://a/", "--age", "1"},
		"name a file for one":   {"-r", "https://a/", "--result", "-", "--token-file", "-"},
		"the file is empty":     {"-r", "https://a/", "--token-file", os.DevNull},
		"use one of no_token":   {"--reason", "nonsense"},
		"no argument is expect": {"-r", "https://a/", "x"},
	} {
		t.Run(want, func(t *testing.T) {
			asked, out, err := checkRun(t, new(explain.Report), "", args...)
			if exitCode(err) != exitUsage || asked != nil || !strings.Contains(out+err.Error(), want) {
				t.Errorf("got %v with code %d: %s", err, exitCode(err), out)
			}
		})
	}
	if _, _, err := checkRun(t, new(explain.Report), "", "-r", "https://a/", "--result", "nowhere"); exitCode(err) != exitFault {
		t.Errorf("a file that is missing ends with code %d: %v", exitCode(err), err)
	}
}

func TestCheckPrints(t *testing.T) {
	report := &explain.Report{
		Request: "GET https://a/", Server: "srv0", Decision: explain.Deny, Reason: policy.TooOld, Notes: []string{"a note"},
		Warnings: []string{"a warning"},
		Steps: []explain.Step{
			{Path: "routes/0/handle/0", Handler: "bws", NotMatched: []string{"path /x"}},
			{Path: "routes/1/handle/0", Handler: "bws", Gate: &explain.Gate{
				Service: "default", Decision: explain.Deny, Reason: policy.TooOld, Found: "3m", Demanded: "max_age: 2m", Meaning: "old",
				Remedy: "again", Options: []explain.Option{{Name: "max_age", Demanded: "2m", Found: "3m", Verdict: explain.Failed}},
				Answer:   &explain.Answer{Kind: "problem", Status: 401, Header: map[string][]string{"Retry-After": {"2"}}},
				Warnings: []string{"photographs"},
			}},
			{Path: "routes/2/handle/0", Handler: "reverse_proxy", NotReached: true, Remark: "would answer"},
		},
	}
	_, text, err := checkRun(t, report, "", "-r", "https://a/")
	if exitCode(err) != exitNegative {
		t.Errorf("a denial ends with code %d", exitCode(err))
	}
	for _, want := range []string{
		"is denied: too_old (server srv0)", "does not match: path /x", "deny too_old", "max_age  2m        3m     failed", "Why: old",
		"Found: 3m. Demanded: max_age: 2m.", "What to do: again", "401, a problem in JSON", "Retry-After: 2", "Warning: photographs",
		"is not reached: would answer", "- a note", "- a warning",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	_, text, err = checkRun(t, report, "", "-r", "https://a/", "--json")
	if exitCode(err) != exitNegative || !strings.Contains(text, `"reason": "too_old"`) || !strings.Contains(text, `"verdict": "failed"`) {
		t.Errorf("got code %d and\n%s", exitCode(err), text)
	}
	for decision, want := range map[string]string{explain.Allow: "is let through", explain.Open: "is open"} {
		_, text, err = checkRun(t, &explain.Report{Decision: decision}, "", "-r", "https://a/")
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%s: got %v and\n%s", decision, err, text)
		}
	}
}

// Every reason is explained, and none of it needs a configuration.
func TestCheckExplainsReasons(t *testing.T) {
	for _, e := range explain.Reasons {
		asked, text, err := checkRun(t, nil, "", "--reason", string(e.Reason))
		if err != nil || asked != nil || !strings.Contains(text, e.Meaning) || !strings.Contains(text, e.Operator) {
			t.Errorf("%s: %v\n%s", e.Reason, err, text)
		}
	}
	// Every fault that can be chosen is a reason.
	for _, fault := range explain.Faults {
		if !slices.ContainsFunc(explain.Reasons, func(e explain.Entry) bool { return e.Reason == fault }) {
			t.Errorf("%s is no reason", fault)
		}
	}
}
