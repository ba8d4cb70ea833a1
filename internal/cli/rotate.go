package cli

import (
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/internal/adminapi"
)

func (e *environment) rotate() *cobra.Command {
	var admin adminFlags
	var out output
	cmd := &cobra.Command{
		Use:   "rotate [<service>] [--address <address>] [--config <path> [--adapter <name>]] [--json]",
		Short: "Creates new keys for sessions and assertions, of all services or of one",
		Long: `
Creates a new key to seal sessions with, and one to sign assertions with, which are
used as soon as all nodes can have read them. What older keys have sealed or signed
stays valid: to end it, revoke. Caddy creates new keys each day by itself.
` + adminHelp + `
Exits with 0 if the keys are stored, and with 3 if Caddy refuses or can't store
them.`,
		Example: `  caddy bws rotate
  caddy bws rotate selfhosted --json`,
		Args: oneService,
		RunE: Run(func(cmd *cobra.Command, args []string) error {
			var asked struct {
				Service string `json:"service,omitzero"`
			}
			if len(args) > 0 {
				asked.Service = args[0]
			}
			answer, err := admin.call(http.MethodPost, "/bws/rotate", asked)
			if err != nil {
				return err
			}
			var keys []adminapi.Rotated
			if err := answer.read(&keys); err != nil {
				return err
			}
			return out.print(cmd, keys, func(w io.Writer) {
				for _, key := range keys {
					row(w, plain(key.Service), "key "+plain(key.ID)+" of "+plain(key.Purpose)+"s", "used from "+point(key.UseFrom, e.now()))
				}
			})
		}),
	}
	admin.add(cmd)
	out.add(cmd)
	return cmd
}
