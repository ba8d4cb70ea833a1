package caddybws

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/internal/cli"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "bws", Usage: "<command>", Short: "Asks and controls the gates' services",
		CobraFunc: func(cmd *cobra.Command) { cli.Setup(cmd) },
	})
}
