package emulator

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("bws_emulator", parseCaddyfile)
	// Like respond it answers by itself, but only below its own paths: respond may serve the rest of the site.
	httpcaddyfile.RegisterDirectiveOrder("bws_emulator", httpcaddyfile.Before, "respond")
}

// parseCaddyfile sets up the handler. See [Emulator.UnmarshalCaddyfile] for the syntax.
func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	e := new(Emulator)
	return e, e.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	bws_emulator [<matcher>] {
//	    app_id     <id>
//	    app_secret <secret>
//	    enrolled   <bcid>...
//	}
//
// It is for development only, and belongs on a site of its own:
//
//	http://localhost:9080 {
//	    bws_emulator {
//	        app_id     demo.bws.emulator
//	        app_secret {env.BWS_APP_SECRET}
//	        enrolled   bws/1/42
//	    }
//	}
func (e *Emulator) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	if d.NextArg() {
		return d.Err("bws_emulator takes no value; remove what follows it")
	}
	for d.NextBlock(0) {
		if err := e.unmarshalOption(d); err != nil {
			return err
		}
	}
	// Provision checks this, too, but cannot tell the line.
	if e.AppID == "" {
		return d.WrapErr(missing("app_id"))
	}
	if e.AppSecret == "" {
		return d.WrapErr(missing("app_secret"))
	}
	return nil
}

func (e *Emulator) unmarshalOption(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
	case "app_id":
		return unmarshalOnce(d, &e.AppID)
	case "app_secret":
		return unmarshalOnce(d, &e.AppSecret)
	case "enrolled":
		if e.Enrolled != nil {
			return d.Err("enrolled is given twice; list everybody in one line")
		}
		if e.Enrolled = d.RemainingArgs(); len(e.Enrolled) == 0 {
			return d.Err("enrolled names nobody; give at least one BCID")
		}
		for _, bcid := range e.Enrolled {
			if _, err := parsePerson(bcid); err != nil {
				return d.WrapErr(err)
			}
		}
		return nil
	default:
		return d.Errf("unknown option %q: use one of app_id, app_secret, enrolled", option)
	}
}

// unmarshalOnce reads the one value of an option that may be given once.
func unmarshalOnce(d *caddyfile.Dispenser, value *string) error {
	option := d.Val()
	if *value != "" {
		return d.Errf("%s is given twice; keep one", option)
	}
	// Not d.ArgErr, which would show the value.
	if !d.AllArgs(value) || *value == "" {
		return d.Errf("%s takes exactly one value; write one", option)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Emulator)(nil)
