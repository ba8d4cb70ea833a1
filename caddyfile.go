package caddybws

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws"
)

// parseService sets up a service from the global option. Syntax:
//
//	bws [<name>] {
//	    endpoint       <url>
//	    app_id         <id>
//	    app_secret     <secret>
//	    timeout        <duration>
//	    proxy          <url>
//	    tls_trust_pool <module> ...
//	}
//
// The option may be repeated with different names; the unnamed one is "default".
func parseService(d *caddyfile.Dispenser, existing any) (any, error) {
	app := App{Services: make(map[string]*Service)}
	if previous, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(previous.Value, &app); err != nil {
			return nil, err
		}
	}
	d.Next() // consume the option's name
	at := positionOf(d)
	name := defaultService
	if d.NextArg() {
		name = d.Val()
	}
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	if err := checkServiceName(name); err != nil {
		return nil, at.wrap(err)
	}
	if _, exists := app.Services[name]; exists {
		return nil, at.wrap(fmt.Errorf("service %q is configured twice: give one of them another name", name))
	}
	service := new(Service)
	if err := service.unmarshalOptions(d); err != nil {
		return nil, err
	}
	if err := service.check(); err != nil {
		return nil, at.wrap(fmt.Errorf("bws: service %q: %w", name, err))
	}
	app.Services[name] = service
	return httpcaddyfile.App{Name: "bws", Value: caddyconfig.JSON(app, nil)}, nil
}

func (s *Service) unmarshalOptions(d *caddyfile.Dispenser) error {
	return eachOption(d, nil, func(option string) error {
		switch option {
		case "endpoint":
			return oneArg(d, &s.Endpoint)
		case "app_id":
			return oneArg(d, &s.AppID)
		case "app_secret":
			return oneArg(d, &s.AppSecret)
		case "proxy":
			return oneArg(d, &s.Proxy)
		case "timeout":
			return durationArg(d, &s.Timeout, 100*time.Millisecond, time.Minute)
		case "tls_trust_pool":
			return s.unmarshalTrustPool(d)
		}
		return unknownOption(d, "endpoint, app_id, app_secret, timeout, proxy, tls_trust_pool")
	})
}

func (s *Service) unmarshalTrustPool(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "tls.ca_pool.source."+name)
	if err != nil {
		return err
	}
	s.TLSTrustPoolRaw = caddyconfig.JSONModuleObject(module, "provider", name, nil)
	return nil
}

// parseGate sets up the handler. See [Gate.UnmarshalCaddyfile] for the syntax.
func parseGate(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	g := new(Gate)
	return g, g.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	bws [<matcher>] [<service>] {
//	    token            cookie <name> | header <name> | bearer
//	    allow            verification|identification|enrollment|livenessdetection...
//	    bcid             <pattern>...
//	    min_score        <0..1>
//	    min_margin       <0..1>
//	    max_age          <duration>
//	    require          live_detection|challenge|none
//	    deny             respond|error|redirect <url>
//	    identity_headers off | {
//	        <header> <value>
//	    }
//	    report_only
//	}
//
// Only token may be repeated: the first source that holds a token counts.
func (g *Gate) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	at := positionOf(d)
	if d.NextArg() {
		g.Service = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	if err := eachOption(d, []string{"token"}, func(option string) error { return g.unmarshalOption(d, option) }); err != nil {
		return err
	}
	if err := g.check(); err != nil {
		return at.wrap(fmt.Errorf("bws: %w", err))
	}
	return nil
}

func (g *Gate) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "token":
		return g.unmarshalToken(d)
	case "allow":
		for _, action := range d.RemainingArgs() {
			g.Allow = append(g.Allow, bws.Action(action))
		}
		return atLeastOne(d, len(g.Allow))
	case "bcid":
		g.BCID = d.RemainingArgs()
		return atLeastOne(d, len(g.BCID))
	case "min_score":
		g.MinScore = new(float64)
		return fractionArg(d, g.MinScore)
	case "min_margin":
		return fractionArg(d, &g.MinMargin)
	case "max_age":
		return durationArg(d, &g.MaxAge, time.Second, 24*time.Hour)
	case "require":
		return oneArg(d, &g.Require)
	case "deny":
		return g.unmarshalDeny(d)
	case "identity_headers":
		return g.unmarshalIdentityHeaders(d)
	case "report_only":
		g.ReportOnly = true
		return noArg(d)
	}
	return unknownOption(d,
		"token, allow, bcid, min_score, min_margin, max_age, require, deny, identity_headers, report_only")
}

func (g *Gate) unmarshalToken(d *caddyfile.Dispenser) error {
	var source TokenSource
	if !d.NextArg() {
		return d.ArgErr()
	}
	var err error
	switch kind := d.Val(); kind {
	case "cookie":
		err = oneArg(d, &source.Cookie)
	case "header":
		err = oneArg(d, &source.Header)
	case "bearer":
		source.Bearer = true
		err = noArg(d)
	default:
		err = d.Errf("token: unknown source %q: use cookie <name>, header <name> or bearer", kind)
	}
	g.Token = append(g.Token, source)
	return err
}

func (g *Gate) unmarshalDeny(d *caddyfile.Dispenser) error {
	g.Deny = new(Denial)
	if !d.NextArg() {
		return d.ArgErr()
	}
	g.Deny.Mode = d.Val()
	if d.NextArg() {
		g.Deny.To = d.Val()
	}
	return noArg(d)
}

func (g *Gate) unmarshalIdentityHeaders(d *caddyfile.Dispenser) error {
	g.IdentityHeaders = make(http.Header)
	if d.NextArg() {
		if d.Val() != "off" {
			return d.Errf("identity_headers: unknown value %q: use off, or a block of headers", d.Val())
		}
		return noArg(d)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := http.CanonicalHeaderKey(d.Val())
		if _, repeated := g.IdentityHeaders[name]; repeated {
			return d.Errf("identity_headers: %s is set twice; keep one", name)
		}
		var value string
		if err := oneArg(d, &value); err != nil {
			return err
		}
		g.IdentityHeaders[name] = []string{value}
	}
	if len(g.IdentityHeaders) == 0 {
		return d.Err("identity_headers: name at least one header in the block, or write off")
	}
	return nil
}

// position is a place in a Caddyfile, for mistakes that show only after the tokens have been read on.
type position struct {
	file string
	line int
}

func positionOf(d *caddyfile.Dispenser) position { return position{d.File(), d.Line()} }

func (p position) wrap(err error) error { return fmt.Errorf("%w, at %s:%d", err, p.file, p.line) }

// eachOption reads the options of a block, of which only the repeatable ones may occur twice.
func eachOption(d *caddyfile.Dispenser, repeatable []string, read func(option string) error) error {
	seen := make(map[string]int)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if line, repeated := seen[option]; repeated && !slices.Contains(repeatable, option) {
			return d.Errf("%s is given twice, first on line %d; keep one", option, line)
		}
		seen[option] = d.Line()
		if err := read(option); err != nil {
			return err
		}
	}
	return nil
}

func unknownOption(d *caddyfile.Dispenser, known string) error {
	return d.Errf("unknown option %q: use one of %s", d.Val(), known)
}

func noArg(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

func oneArg(d *caddyfile.Dispenser, value *string) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	*value = d.Val()
	return noArg(d)
}

func atLeastOne(d *caddyfile.Dispenser, n int) error {
	if n == 0 {
		return d.ArgErr()
	}
	return nil
}

func durationArg(d *caddyfile.Dispenser, value *caddy.Duration, least, most time.Duration) error {
	option := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	parsed, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("%s: %q is not a duration: write a number with a unit, such as 30s or 5m", option, text)
	}
	*value = caddy.Duration(parsed)
	if err := checkDuration(option, *value, least, most); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func fractionArg(d *caddyfile.Dispenser, value *float64) error {
	option := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	parsed, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return d.Errf("%s: %q is not a number: use 0 to 1, such as 0.7", option, text)
	}
	*value = parsed
	if err := checkFraction(option, parsed); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Gate)(nil)
