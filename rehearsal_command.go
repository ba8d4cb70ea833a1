package caddybws

import (
	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/internal/cli"
)

func init() {
	cli.Add(func() *cobra.Command { return cli.Check(rehearse) })
}
