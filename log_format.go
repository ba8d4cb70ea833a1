package caddybws

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"
)

// LogFormat is an encoder of logs that keeps BWS tokens out of them. Caddy itself keeps cookies and the `Authorization` header out,
// and no other header, and shows addresses as they are: also that by which a browser returns from the capture page, whose query
// holds the token of a login. Of requests and responses that are logged this encoder removes the header `X-BWS-Token`, and shows the
// parameters `access_token` and `state` as `REDACTED` in `request>uri`, in the header `Referer`, and in the response's `Location`.
type LogFormat struct {
	// Request headers besides `X-BWS-Token` from which gates take tokens, for the encoder to remove. Default: none.
	Headers []string `json:"headers,omitempty"`

	// The encoder that writes what is left. Default: `console` on a terminal, else `json`.
	WrapRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	*filter `json:"-"`
}

// filter is Caddy's encoder that does the work.
type filter = logging.FilterEncoder

// CaddyModule returns the Caddy module information.
func (LogFormat) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.encoders.bws",
		New: func() caddy.Module { return new(LogFormat) },
	}
}

// Provision sets the encoder up.
func (f *LogFormat) Provision(ctx caddy.Context) error {
	if err := f.check(); err != nil {
		return err
	}
	redact := json.RawMessage(`{"filter":"query","actions":[` +
		`{"type":"replace","parameter":"access_token","value":"REDACTED"},{"type":"replace","parameter":"state","value":"REDACTED"}]}`)
	f.filter = &filter{WrappedRaw: f.WrapRaw, FieldsRaw: map[string]json.RawMessage{
		"request>uri":             redact,
		"request>headers>Referer": redact,
		"resp_headers>Location":   redact,
	}}
	for _, header := range append([]string{tokenHeader}, f.Headers...) {
		f.filter.FieldsRaw["request>headers>"+http.CanonicalHeaderKey(header)] = json.RawMessage(`{"filter":"delete"}`)
	}
	return f.filter.Provision(ctx)
}

func (f *LogFormat) check() error {
	for _, header := range f.Headers {
		if !httpguts.ValidHeaderFieldName(header) {
			return fmt.Errorf("headers: %q is not a valid name; use letters, digits and -", header)
		}
	}
	return nil
}

// UnmarshalCaddyfile sets up the encoder from Caddyfile tokens. Syntax:
//
//	bws [<header>...] {
//	    wrap <encoder> ...
//	}
func (f *LogFormat) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the encoder's name
	f.Headers = d.RemainingArgs()
	if err := located(d, f.check()); err != nil {
		return err
	}
	return eachOption(d, nil, func(option string) error {
		if option != "wrap" {
			return unknownOption(d, "wrap")
		}
		if !d.NextArg() {
			return d.Err("wrap: the encoder is missing: write one such as json or console")
		}
		name := d.Val()
		id := "caddy.logging.encoders." + name
		if _, err := caddy.GetModule(id); err != nil {
			return d.Errf("wrap: unknown encoder %q: use json, console, or another that this Caddy was built with", name)
		}
		module, err := caddyfile.UnmarshalModule(d, id)
		if err != nil {
			return fmt.Errorf("wrap %s: %w", name, err)
		}
		f.WrapRaw = caddyconfig.JSONModuleObject(module, "format", name, nil)
		return nil
	})
}

// Interface guards
var (
	_ caddy.Provisioner                = (*LogFormat)(nil)
	_ caddyfile.Unmarshaler            = (*LogFormat)(nil)
	_ caddy.ConfiguresFormatterDefault = (*LogFormat)(nil)
	_ zapcore.Encoder                  = (*LogFormat)(nil)
)
