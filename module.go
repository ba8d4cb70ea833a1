// Package caddybws is a Caddy module that lets a request through only if a biometric operation at the BioID Web Service
// (BWS) says so. It registers the app "bws", which holds the connections to the service; the handler
// "http.handlers.bws", the gate on a route; the handlers "http.handlers.bws_logout", which ends sessions, and
// "http.handlers.bws_jwks", which serves the keys of assertions; the encoder "caddy.logging.encoders.bws", which keeps tokens out of
// logs; the admin endpoints below /bws/; and the command `caddy bws`.
package caddybws

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	caddy.RegisterModule(App{})
	caddy.RegisterModule(Gate{})
	caddy.RegisterModule(Logout{})
	caddy.RegisterModule(JWKS{})
	caddy.RegisterModule(Admin{})
	caddy.RegisterModule(LogFormat{})

	httpcaddyfile.RegisterGlobalOption("bws", parseService)
	httpcaddyfile.RegisterHandlerDirective("bws", parseGate)
	// After the first factor, so that its user is known; before anything that answers a request.
	httpcaddyfile.RegisterDirectiveOrder("bws", httpcaddyfile.After, "forward_auth")

	httpcaddyfile.RegisterHandlerDirective("bws_logout", parseLogout)
	// Of two that come after the same directive, the one registered later comes first: logging out needs no evidence.
	httpcaddyfile.RegisterDirectiveOrder("bws_logout", httpcaddyfile.After, "forward_auth")

	httpcaddyfile.RegisterHandlerDirective("bws_jwks", parseJWKS)
	// An app that asks for the keys has no evidence, either.
	httpcaddyfile.RegisterDirectiveOrder("bws_jwks", httpcaddyfile.After, "forward_auth")
}
