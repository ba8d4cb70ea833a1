package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
)

// tasks are what the values of --task stand for.
var tasks = map[string]bws.Task{
	"verify":            bws.TaskVerify | bws.TaskLiveDetect,
	"identify":          bws.TaskIdentify | bws.TaskLiveDetect,
	"enroll":            bws.TaskEnroll | bws.TaskLiveDetect,
	"livenessdetection": bws.TaskLiveOnly,
}

// taskNames are the values of --task, the usual one first.
var taskNames = []string{"verify", "identify", "livenessdetection", "enroll"}

// issued is a token that was requested.
type issued struct {
	Token string `json:"token"`
	claims
}

// wish is which token is wanted.
type wish struct {
	bcid, task string
	tries      int
	challenge  bool
}

func (e *environment) token() *cobra.Command {
	var flags serviceFlags
	var out output
	var want wish
	cmd := &cobra.Command{
		Use: "token --bcid <bcid> [--task <task>] [--max-tries <n>] [--challenge] [--service <name>] " +
			"[--config <path> [--adapter <name>]] [--envfile <path>] [--json]",
		Short: "Requests a token for a biometric operation, with a service's credentials",
		Long: `
Requests a BWS token and prints it. Whoever holds it may perform the operation for
the next ten minutes, in the name of the person: treat it as a password. It always
demands live detection, as gates do unless they are told otherwise.

Caddy need not run. Placeholders of the configuration take their values from the
environment of this command; --envfile adds what a file has.

Exits with 0 for a token, with 3 if BWS refuses the credentials or the request, and
with 1 if there is no answer.`,
		Example: `  caddy bws token --bcid bws/1/42 >token
  caddy bws token --bcid bws/1/0 --task identify | caddy bws inspect
  caddy bws token --task livenessdetection --challenge --service selfhosted`,
		Args: NoArguments,
		RunE: Run(func(cmd *cobra.Command, _ []string) error {
			request, err := want.request()
			if err != nil {
				return err
			}
			client, err := e.connect(&flags)
			if err != nil {
				return err
			}
			defer client.CloseIdleConnections()
			token, err := client.Token(cmd.Context(), request)
			if err != nil {
				return failed(err)
			}
			parsed, err := bws.ParseToken(token)
			if err != nil {
				return err
			}
			return out.print(cmd, issued{token, e.claimsOf(&parsed)}, func(w io.Writer) { fmt.Fprintln(w, token) })
		}),
	}
	flags.add(cmd)
	out.add(cmd)
	cmd.Flags().StringVar(&want.bcid, "bcid", "", "Whom it is for: storage/partition/class; class 0 to identify")
	cmd.Flags().StringVar(&want.task, "task", taskNames[0], "The operation: "+strings.Join(taskNames, ", "))
	cmd.Flags().IntVar(&want.tries, "max-tries", 3, "How often it may be tried, 1 to 15")
	cmd.Flags().BoolVar(&want.challenge, "challenge", false, "Demand that challenges are followed")
	_ = cmd.RegisterFlagCompletionFunc("task", cobra.FixedCompletions(taskNames, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// request checks what is wanted, as far as that can be done without BWS.
func (w *wish) request() (request bws.TokenRequest, err error) {
	task, known := tasks[w.task]
	switch {
	case !known:
		return request, Usage("--task: use one of %s", strings.Join(taskNames, ", "))
	case w.tries < 1 || w.tries > 15:
		return request, Usage("--max-tries: use 1 to 15")
	case (w.bcid == "") != (task.Kind() == bws.TaskLiveOnly):
		if w.bcid == "" {
			return request, Usage("--bcid is missing: whom the token is for, as storage/partition/class")
		}
		return request, Usage("--bcid: a liveness detection is about nobody; leave it out")
	}
	request.Task = task | bws.Task(w.tries)
	if w.challenge {
		request.Task |= bws.TaskChallenge
	}
	if w.bcid == "" {
		return request, nil
	}
	if request.BCID, err = bws.ParseBCID(w.bcid); err != nil {
		return request, Usage("--bcid: %v", err)
	}
	if !request.BCID.IsPerson() && task.Kind() != bws.TaskIdentify {
		return request, Usage("--bcid: class 0 is a whole partition; name a person, or use --task identify")
	}
	return request, nil
}
