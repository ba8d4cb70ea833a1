package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/internal/explain"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// Rehearse says what the gates of a configuration would make of a request.
type Rehearse func(ctx context.Context, config []byte, q *explain.Question) (*explain.Report, error)

const checkHelp = `
Says which gates of a configuration a request would meet, what each would decide,
option by option, and why; with warnings about what is allowed but hardly meant.
The gates are the real ones. Nobody is asked: what BWS says is given with --result
or --fault, and no secret is needed.

The request carries a token that is made up for the result, in the place where
each gate looks first. The flags from --age to --app-id change what it says.
--token-file presents another one: a good token does not belong into --header, since
every process on the machine can read arguments. With --session-age, the request
carries a session that began with the result instead.

What comes before a gate and may answer itself, such as basic_auth, is taken to let
the request go on, from the user that --user names.

--reason explains a reason instead, and needs no configuration.

Exits with 0 if the request would be let through, with a warning if no gate looks at
it, and with 3 if it would be denied.`

const checkExample = `  caddy bws check --request 'POST https://app.example/transfer'
  caddy bws check --request https://app.example/ --user alice \
    --result '{"Success":true,"Action":"verification","BCID":"bws/1/42"}' --age 3m
  caddy bws check --request https://app.example/ --result result.json --session-age 20m
  caddy bws check --request https://app.example/ --fault service_timeout --json
  caddy bws check --reason too_old`

// checkFlags are a question on the command line.
type checkFlags struct {
	configFlags
	output

	request, server, client, user    string
	headers                          []string
	result, tokenFile, fault, reason string
	age, lifetime, task, bcid, app   string
	sessionAge, idle                 string
}

// Check is the command that asks what gates would decide.
func Check(rehearse Rehearse) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:     "check --request '[<method>] <url>' [--result <json>|<path>] [--config <path> [--adapter <name>]] [--json]",
		Short:   "Says what the gates of a configuration would decide about a request, and why",
		Long:    checkHelp,
		Example: checkExample,
		Args:    NoArguments,
		RunE: Run(func(cmd *cobra.Command, _ []string) error {
			if f.reason != "" {
				return f.explain(cmd)
			}
			q, err := f.question(cmd)
			if err != nil {
				return err
			}
			config, err := f.load()
			if err != nil {
				return err
			}
			report, err := rehearse(cmd.Context(), config, q)
			if err != nil {
				return err
			}
			if err := f.print(cmd, report, func(w io.Writer) { printReport(w, report) }); err != nil {
				return err
			}
			if report.Denied() {
				return notWell(exitNegative)
			}
			return nil
		}),
	}
	f.add(cmd)
	return cmd
}

func (f *checkFlags) add(cmd *cobra.Command) {
	f.configFlags.add(cmd)
	f.output.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.request, "request", "r", "", "The request: a URL, after a method unless that is GET")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "A header line of the request, as Name: value; repeatable")
	flags.StringVar(&f.client, "client-ip", "192.0.2.1", "The address that the request comes from")
	flags.StringVar(&f.user, "user", "", "Whom the first factor says the request comes from")
	flags.StringVar(&f.server, "server", "", "Name or address of the server (default: by the port of the URL)")
	flags.StringVar(&f.result, "result", "", "BWS's result: JSON, or a file with it; - is the standard input")
	flags.StringVar(&f.fault, "fault", "", "The reason that comes about in place of, or in spite of, the result: "+join(explain.Faults))
	flags.StringVarP(&f.tokenFile, "token-file", "f", "", "File with the token to present; - is the standard input")
	flags.StringVar(&f.age, "age", "", "How long ago the token was issued; negative for the future (default 0s)")
	flags.StringVar(&f.lifetime, "lifetime", "", "How long the token lives (default 10m)")
	flags.StringVar(&f.task, "task", "",
		"What the token demands, with commas: verify, identify, enroll or livenessdetection, then live_detection, challenge, autoenroll")
	flags.StringVar(&f.bcid, "bcid", "", "Whom the token is for (default: whom the result names)")
	flags.StringVar(&f.app, "app-id", "", "The App-ID that the token was issued to (default: the service's)")
	flags.StringVar(&f.sessionAge, "session-age", "", "How long ago the session began that the request carries")
	flags.StringVar(&f.idle, "idle", "", "How long ago that session was used last (default 0s)")
	flags.StringVar(&f.reason, "reason", "", "Explain this reason")
}

func join(reasons []policy.Reason) string {
	words := make([]string, len(reasons))
	for i, reason := range reasons {
		words[i] = string(reason)
	}
	return strings.Join(words, ", ")
}

// explain prints what there is to say about a reason.
func (f *checkFlags) explain(cmd *cobra.Command) error {
	entry, ok := explain.Of(policy.Reason(f.reason))
	if !ok {
		known := make([]policy.Reason, 0, len(explain.Reasons))
		for _, e := range explain.Reasons {
			known = append(known, e.Reason)
		}
		return Usage("--reason: there is no such reason; use one of %s", join(known))
	}
	return f.print(cmd, entry, func(w io.Writer) {
		fmt.Fprintf(w, "%s (%d)\n\n%s\n\n", entry.Reason, entry.Status, entry.Meaning)
		if len(entry.Options) > 0 {
			fmt.Fprintf(w, "Depends on: %s\n", strings.Join(entry.Options, ", "))
		}
		fmt.Fprintf(w, "The person: %s\nThe operator: %s\n", entry.User, entry.Operator)
	})
}

// question makes a question of the flags.
func (f *checkFlags) question(cmd *cobra.Command) (*explain.Question, error) {
	q := &explain.Question{
		Server: f.server, Header: f.headers, Client: f.client, User: f.user, Fault: policy.Reason(f.fault),
		Now:    time.Now().Truncate(time.Second),
		Claims: explain.Claims{BCID: f.bcid, App: f.app},
	}
	switch words := strings.Fields(f.request); len(words) {
	case 1:
		q.Method, q.URL = "GET", words[0]
	case 2:
		q.Method, q.URL = strings.ToUpper(words[0]), words[1]
	default:
		return nil, Usage("--request: write a URL, after a method unless that is GET, such as 'POST https://app.example/transfer'")
	}
	if q.Fault != "" && !slices.Contains(explain.Faults, q.Fault) {
		return nil, Usage("--fault: that is none that can be chosen; use one of %s", join(explain.Faults))
	}
	if f.idle != "" && f.sessionAge == "" {
		return nil, Usage("--idle is about a session: give --session-age, too")
	}
	if err := f.readTimes(q); err != nil {
		return nil, err
	}
	if f.task != "" {
		words := strings.Split(f.task, ",")
		q.Claims.Task, q.Claims.Conditions = words[0], words[1:]
	}
	for _, flag := range []string{"age", "lifetime", "task", "bcid", "app-id"} {
		q.Claims.Given = q.Claims.Given || cmd.Flags().Changed(flag) && f.sessionAge == ""
	}
	return q, f.readFiles(cmd, q)
}

func (f *checkFlags) readTimes(q *explain.Question) error {
	var sessionAge time.Duration
	for _, flag := range []struct {
		name, text string
		value      *time.Duration
	}{
		{"age", f.age, &q.Claims.Age}, {"lifetime", f.lifetime, &q.Claims.Lifetime}, {"session-age", f.sessionAge, &sessionAge},
		{"idle", f.idle, &q.Idle},
	} {
		if flag.text == "" {
			continue
		}
		var err error
		if *flag.value, err = caddy.ParseDuration(flag.text); err != nil {
			return Usage("--%s: %q is not a duration; write a number with a unit, such as 30s or 5m", flag.name, flag.text)
		}
	}
	if f.sessionAge != "" {
		q.SessionAge = &sessionAge
	}
	return nil
}

// maxCheckInput is longer than any result or token.
const maxCheckInput = 1 << 20

func (f *checkFlags) readFiles(cmd *cobra.Command, q *explain.Question) error {
	if f.result == "-" && f.tokenFile == "-" {
		return Usage("--result and --token-file cannot both be the standard input; name a file for one of them")
	}
	if f.result != "" {
		text := f.result
		if !strings.HasPrefix(strings.TrimSpace(text), "{") {
			var err error
			if text, err = readInput(cmd, "result", f.result); err != nil {
				return err
			}
		}
		q.Result = []byte(text)
	}
	if f.tokenFile == "" {
		return nil
	}
	text, err := readInput(cmd, "token-file", f.tokenFile)
	if err != nil {
		return err
	}
	if q.Token = strings.TrimSpace(text); q.Token == "" {
		return Usage("--token-file: the file is empty; write the token into it")
	}
	return nil
}

// readInput reads the file that a flag names, or for - the standard input.
func readInput(cmd *cobra.Command, flag, name string) (string, error) {
	if name != "-" {
		return ReadFile(flag, name)
	}
	text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxCheckInput))
	return string(text), err
}
