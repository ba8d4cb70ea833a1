// Command faultycaddy is Caddy with the gate, a storage that fails as it is told, and name servers that a test can take away. It is
// for tests.
package main

import (
	"net"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-bws/caddy-bws"
	"github.com/caddy-bws/caddy-bws/internal/dnstest"
)

func main() {
	if server := os.Getenv("NAME_SERVER"); server != "" {
		net.DefaultResolver = dnstest.Resolver(server)
	}
	caddycmd.Main()
}
