package cli

import (
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// rotated is a new key of a service.
type rotated struct {
	Service string `json:"service"`
	ID      string `json:"id"`
	// UseFrom is when nodes begin to seal with it.
	UseFrom time.Time `json:"use_from"`
}

func (e *environment) rotate() *cobra.Command {
	var admin adminFlags
	var out output
	cmd := &cobra.Command{
		Use:   "rotate [<service>] [--address <address>] [--config <path> [--adapter <name>]] [--json]",
		Short: "Creates a new key for sessions, of all services or of one",
		Long: `
Creates a new key to seal sessions with, which is used as soon as all nodes can have
read it. Sessions that older keys have sealed stay valid: to end them, revoke. Caddy
creates a key a day by itself.
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
			var keys []rotated
			if err := answer.read(&keys); err != nil {
				return err
			}
			return out.print(cmd, keys, func(w io.Writer) {
				for _, key := range keys {
					row(w, plain(key.Service), "key "+plain(key.ID), "used from "+point(key.UseFrom, e.now()))
				}
			})
		}),
	}
	admin.add(cmd)
	out.add(cmd)
	return cmd
}
