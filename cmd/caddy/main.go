// Command caddy is Caddy with its standard modules, the gate of caddy-bws and the emulator of the BioID Web Service.
//
// It is for development, the examples and the tests. A server for production must not have the emulator. Build one with xcaddy or,
// if it needs no other modules than the gate and the standard ones, from here:
//
//	xcaddy build --with github.com/caddy-bws/caddy-bws
//	go build -tags noemulator ./cmd/caddy
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-bws/caddy-bws"
)

func main() {
	caddycmd.Main()
}
