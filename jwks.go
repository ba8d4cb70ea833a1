package caddybws

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// keysCacheControl is for how long the keys may be kept without asking again.
var keysCacheControl = "public, max-age=" + strconv.Itoa(int(ledger.KeyPublication/time.Second))

// JWKS is a handler that serves the public keys with which an app verifies the assertions of a service, as a JSON Web Key Set (RFC
// 7517). They are those of all nodes that share the service's storage: those in use, those that will be, and those whose last
// assertion has not ended. It answers GET and HEAD, and never calls the next handler.
type JWKS struct {
	// The name of the service, as for the gates that make the assertions. Default: `default`.
	Service string `json:"service,omitempty"`

	service *Service
}

// CaddyModule returns the Caddy module information.
func (JWKS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.bws_jwks",
		New: func() caddy.Module { return new(JWKS) },
	}
}

// Provision finds the service.
func (j *JWKS) Provision(ctx caddy.Context) (err error) {
	if err := checkServiceName(cmp.Or(j.Service, defaultService)); err != nil {
		return err
	}
	j.service, err = serviceOf(ctx, j.Service)
	return err
}

// ServeHTTP serves the keys. A set without any would be kept, and refuse what is signed a moment later.
func (j *JWKS) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	header := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("bws_jwks: use GET"))
	}
	j.service.ledger.Ready(r.Context())
	keys := j.service.signer.PublicKeys(r.Context())
	if len(keys.Keys) == 0 {
		told := refusalFor(policy.LedgerUnavailable)
		told.setHeaders(header, r)
		return told.respond(w, r)
	}
	body, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	header.Set("Content-Type", "application/jwk-set+json")
	header.Set("Cache-Control", keysCacheControl)
	_, err = w.Write(body)
	return err
}

// parseJWKS sets up the handler. See [JWKS.UnmarshalCaddyfile] for the syntax.
func parseJWKS(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	j := new(JWKS)
	return j, j.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	bws_jwks [<matcher>] [<service>]
func (j *JWKS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	if err := serviceArg(d, &j.Service); err != nil {
		return err
	}
	return eachOption(d, nil, func(option string) error {
		return d.Errf("bws_jwks has no options; remove %q", option)
	})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*JWKS)(nil)
	_ caddyfile.Unmarshaler       = (*JWKS)(nil)
	_ caddyhttp.MiddlewareHandler = (*JWKS)(nil)
)
