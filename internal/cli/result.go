package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// reported is what BWS says of a token.
type reported struct {
	// Performed says that BWS has reported a result. The members up to Matches are that result.
	Performed bool      `json:"performed"`
	Success   bool      `json:"success"`
	Action    string    `json:"action"`
	BCID      string    `json:"bcid"`
	Error     string    `json:"error"`
	Matches   []matched `json:"matches"`
	// Reason is why a gate denies the token that demands nothing more than success; empty if it does not.
	Reason string `json:"reason"`
	// Token is what the token says, null if it is malformed.
	Token *claims `json:"token"`
}

type matched struct {
	BCID  string  `json:"bcid"`
	Score float64 `json:"score"`
}

func (e *environment) result() *cobra.Command {
	var service serviceFlags
	var input tokenFlags
	var out output
	cmd := &cobra.Command{
		Use:   "result [--token-file <path>] [--service <name>] [--config <path> [--adapter <name>]] [--envfile <path>] [--json]",
		Short: "Asks BWS what came of the last operation with a token",
		Long: `
Asks BWS, with the credentials of a service, what came of the last operation with a
token, and says it in words, with the reason for which every gate would deny it.
The policies of gates, such as bcid and min_score, are not looked at.
` + tokenHelp + `
Exits with 0 if the operation succeeded, and with 3 if it failed, has not been
performed, or if BWS rejects the token or the credentials.`,
		Example: `  caddy bws result <token
  caddy bws result --json --token-file token --service selfhosted
  BWS_TOKEN=$token caddy bws result --config /etc/caddy/Caddyfile`,
		Args: NoArguments,
		RunE: Run(func(cmd *cobra.Command, _ []string) error {
			client, err := e.connect(&service)
			if err != nil {
				return err
			}
			defer client.CloseIdleConnections()
			token, err := input.read(cmd)
			if err != nil {
				return err
			}
			answer, err := e.ask(cmd.Context(), client, token)
			if err != nil {
				return failed(err)
			}
			if err := out.print(cmd, answer, func(w io.Writer) { answer.print(w, e.now()) }); err != nil {
				return err
			}
			if answer.Reason != "" {
				return notWell(exitNegative)
			}
			return nil
		}),
	}
	service.add(cmd)
	input.add(cmd)
	out.add(cmd)
	return cmd
}

// ask returns what BWS says of a token. The error is that of a call without an answer.
func (e *environment) ask(ctx context.Context, client *bws.Client, token string) (reported, error) {
	answer := reported{Matches: []matched{}}
	parsed, err := bws.ParseToken(token)
	if errors.Is(err, bws.ErrMalformedToken) { // as gates do: BWS is not asked
		answer.Reason = string(policy.MalformedToken)
		return answer, nil
	}
	said := e.claimsOf(&parsed)
	answer.Token = &said
	result, err := client.Result(ctx, token)
	var known *evidence.Evidence
	switch {
	case err == nil:
		answer.take(&result)
		known = evidence.OfResult(&result, &parsed, e.now())
	case errors.Is(err, bws.ErrNoResult):
		known = evidence.OfClaims(evidence.Pending, &parsed)
	case errors.Is(err, bws.ErrTokenRejected):
		known = evidence.OfClaims(evidence.Rejected, &parsed)
	default:
		return answer, err
	}
	answer.Reason = string(reason(known, &parsed, client.AppID(), e.now()))
	return answer, nil
}

// reason is why a gate denies the token that demands nothing but success; empty if it does not.
func reason(known *evidence.Evidence, parsed *bws.UnverifiedClaims, appID string, now time.Time) policy.Reason {
	if early := policy.JudgeClaims(parsed, appID, now); early != "" {
		return early
	}
	undemanding := policy.Policy{
		Allow:   []bws.Action{bws.Verification, bws.Identification, bws.Enrollment, bws.LiveDetection},
		Require: policy.RequireNone,
	}
	return undemanding.Judge(known, now).Reason
}

func (r *reported) take(result *bws.OperationResult) {
	r.Performed, r.Success = true, result.Success
	r.Action, r.BCID, r.Error = string(result.Action), result.BCID.String(), string(result.Error)
	for _, m := range result.Matches {
		r.Matches = append(r.Matches, matched{m.BCID.String(), m.Score})
	}
}

func (r *reported) print(w io.Writer, now time.Time) {
	fmt.Fprintln(w, r.words())
	if r.Reason != "" {
		fmt.Fprintf(w, "Gates deny it: %s\n", r.Reason)
	}
	if r.Token == nil {
		return
	}
	fmt.Fprintln(w)
	for i, m := range r.Matches {
		row(w, fmt.Sprintf("match %d", i+1), fmt.Sprintf("%s, score %.3f", m.BCID, m.Score))
	}
	row(w, "token for", orNone(r.Token.BCID))
	row(w, "operation", r.Token.operation())
	row(w, "issued", point(r.Token.NotBefore, now))
	row(w, "expires", point(r.Token.Expires, now))
}

// words says what the result means.
func (r *reported) words() string {
	switch policy.Reason(r.Reason) {
	case policy.MalformedToken:
		return "This is not a well-formed token: BWS was not asked."
	case policy.RejectedToken:
		return "BWS rejects the token: it is not one that BWS issued to this App-ID, or no longer valid."
	case policy.Pending:
		return "Nobody has performed the operation with this token yet."
	case policy.ExpiredToken:
		return "The token has expired." + r.last()
	case policy.NotYetValid:
		return "The token is not valid yet: compare the clock of this machine." + r.last()
	case policy.ForeignToken:
		return "The token belongs to another App-ID than the service's." + r.last()
	case policy.Contradiction:
		return "The result contradicts the token: it is about another operation or another person." + r.last()
	default:
		return r.performed()
	}
}

// last is the result itself, where something else weighs more.
func (r *reported) last() string {
	if !r.Performed {
		return ""
	}
	return " " + r.performed()
}

func (r *reported) performed() string {
	if !r.Success {
		return r.failed()
	}
	switch bws.Action(r.Action) {
	case bws.Verification:
		return r.BCID + " has been verified."
	case bws.Enrollment:
		return r.BCID + " has been enrolled, which proves nobody's identity."
	case bws.LiveDetection:
		return "Somebody alive was there; who, nobody knows."
	case bws.Identification:
	}
	if len(r.Matches) == 0 {
		return "The search was performed, and found nobody."
	}
	return fmt.Sprintf("The search was performed. The best match is %s, with a score of %.3f.", r.Matches[0].BCID, r.Matches[0].Score)
}

func (r *reported) failed() string {
	text := map[bws.ErrorCode]string{
		"":                          "The person was not recognized.",
		bws.LiveDetectionFailed:     "The operation failed: nobody alive was seen, but perhaps a picture.",
		bws.ChallengeResponseFailed: "The operation failed: the challenges were not followed.",
		bws.NoTemplateAvailable:     "The operation failed: the person is not enrolled.",
		bws.NotEnoughSamples:        "The operation failed: there were too few usable images.",
		bws.ExecutionOfJobTimedOut:  "The operation failed since BWS was too busy: try again.",
	}[bws.ErrorCode(r.Error)]
	if text == "" {
		return fmt.Sprintf("The operation failed: BWS says %s.", r.Error)
	}
	return text
}
