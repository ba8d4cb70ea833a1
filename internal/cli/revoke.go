package cli

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// revoked is what was revoked.
type revoked struct {
	// Revoked is "session", "token", "bcid" or "service".
	Revoked string `json:"revoked"`
	// Services are the services of which it is revoked.
	Services []string `json:"services"`
}

// revocation is what is to be revoked: exactly one of its members.
type revocation struct {
	Session string `json:"session,omitzero"`
	Token   string `json:"token,omitzero"`
	BCID    string `json:"bcid,omitzero"`
	Service string `json:"service,omitzero"`
}

func (e *environment) revoke() *cobra.Command {
	var admin adminFlags
	var input tokenFlags
	var out output
	var asked revocation
	var token bool
	cmd := &cobra.Command{
		Use: "revoke --session <id> | --token [--token-file <path>] | --bcid <bcid> | --all-of-service <name> " +
			"[--address <address>] [--config <path> [--adapter <name>]] [--json]",
		Short: "Revokes a session, a token, a person, or all of a service, on all nodes",
		Long: `
Revokes one of

  --session          the session with this id
  --token            a token, and the session that it began
  --bcid             whatever a person has been verified with up to now
  --all-of-service   whatever anybody has been verified with at this service up to
                     now

Whoever is verified afterwards passes again. The other nodes with the same storage
follow within five seconds.
` + tokenHelp + adminHelp + `
Exits with 0 if it is stored, and with 3 if Caddy refuses or can't store it.`,
		Example: `  caddy bws revoke --bcid bws/1/42
  caddy bws revoke --token <token
  caddy bws revoke --all-of-service default --address unix//run/caddy/admin.sock`,
		Args: NoArguments,
		RunE: Run(func(cmd *cobra.Command, _ []string) error {
			if asked.given(token) != 1 {
				return Usage("give one of --session, --token, --bcid and --all-of-service")
			}
			if input.file != "" && !token {
				return Usage("--token-file goes with --token")
			}
			var err error
			if token {
				if asked.Token, err = input.read(cmd); err != nil {
					return err
				}
			}
			answer, err := admin.call(http.MethodPost, "/bws/revoke", asked)
			if err != nil {
				return err
			}
			var done revoked
			if err := answer.read(&done); err != nil {
				return err
			}
			return out.print(cmd, done, func(w io.Writer) {
				fmt.Fprintf(w, "Revoked: %s, at %s\n", done.words(), plain(strings.Join(done.Services, ", ")))
			})
		}),
	}
	admin.add(cmd)
	input.add(cmd)
	out.add(cmd)
	cmd.Flags().StringVar(&asked.Session, "session", "", "Id of the session to revoke")
	cmd.Flags().BoolVar(&token, "token", false, "Revoke a token, which is read as described above")
	cmd.Flags().StringVar(&asked.BCID, "bcid", "", "Person to revoke, as storage/partition/class")
	cmd.Flags().StringVar(&asked.Service, "all-of-service", "", "Service to revoke everything of")
	return cmd
}

// given counts what is to be revoked. The token itself has not been read yet.
func (r *revocation) given(token bool) (n int) {
	for _, given := range []bool{token, r.Session != "", r.BCID != "", r.Service != ""} {
		if given {
			n++
		}
	}
	return n
}

func (r *revoked) words() string {
	switch r.Revoked {
	case "session":
		return "the session"
	case "token":
		return "the token and its session"
	case "bcid":
		return "everything of the person up to now"
	case "service":
		return "everything up to now"
	}
	return plain(r.Revoked)
}
