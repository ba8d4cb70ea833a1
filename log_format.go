package caddybws

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/zapcore"
)

// LogFormat is an encoder of logs that keeps BWS tokens out of them. Caddy itself keeps cookies and the `Authorization` header out,
// and no other header, and shows addresses as they are: also that by which a browser returns from the camera page, whose query
// holds the token of a login. Of requests and responses that are logged, this encoder removes the request header `X-BWS-Token`, and
// shows the parameters `access_token` and `state` as `REDACTED` in `request>uri`, `request>headers>Referer` and
// `resp_headers>Location`.
//
// It is Caddy's `filter` with these fields, and takes the same options: others to filter, such as the header in which a gate looks for
// tokens, and the encoder to `wrap`. A field that is given replaces the filter of the same name.
type LogFormat struct {
	logging.FilterEncoder
}

// CaddyModule returns the Caddy module information.
func (LogFormat) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.encoders.bws",
		New: func() caddy.Module { return new(LogFormat) },
	}
}

const redactedQuery = `{"filter":"query","actions":[{"type":"replace","parameter":"access_token","value":"REDACTED"},` +
	`{"type":"replace","parameter":"state","value":"REDACTED"}]}`

// tokenFields are where tokens are in what Caddy logs, and what is done about them.
var tokenFields = map[string]string{
	"request>uri":                 redactedQuery,
	"request>headers>Referer":     redactedQuery,
	"resp_headers>Location":       redactedQuery,
	"request>headers>X-Bws-Token": `{"filter":"delete"}`,
}

// Provision adds the fields to those that are given.
func (f *LogFormat) Provision(ctx caddy.Context) error {
	if f.FieldsRaw == nil {
		f.FieldsRaw = make(map[string]json.RawMessage)
	}
	for field, filter := range tokenFields {
		if _, given := f.FieldsRaw[field]; !given {
			f.FieldsRaw[field] = json.RawMessage(filter)
		}
	}
	return f.FilterEncoder.Provision(ctx)
}

// UnmarshalCaddyfile sets up the encoder from Caddyfile tokens. Syntax:
//
//	bws {
//	    wrap    <encoder> ...
//	    <field> <filter>  ...
//	}
func (f *LogFormat) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return f.FilterEncoder.UnmarshalCaddyfile(d)
}

// Interface guards
var (
	_ caddy.Provisioner                = (*LogFormat)(nil)
	_ caddyfile.Unmarshaler            = (*LogFormat)(nil)
	_ caddy.ConfiguresFormatterDefault = (*LogFormat)(nil)
	_ zapcore.Encoder                  = (*LogFormat)(nil)
)
