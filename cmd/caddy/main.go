// Command caddy is Caddy with its standard modules, the gate of caddy-bws and the emulator of the BioID Web Service.
//
// It is for development, the examples and the tests. A server for production is built with xcaddy and has no emulator:
//
//	xcaddy build --with github.com/caddy-bws/caddy-bws
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-bws/caddy-bws"
	_ "github.com/caddy-bws/caddy-bws/emulator"
)

func main() {
	caddycmd.Main()
}
