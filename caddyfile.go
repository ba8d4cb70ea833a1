package caddybws

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// parseService sets up a service from the global option. Syntax:
//
//	bws [<name>] {
//	    endpoint       <url>
//	    app_id         <id>
//	    app_secret     <secret>
//	    timeout        <duration>
//	    cache_ttl      <duration>
//	    failure_ttl    <duration>
//	    cache_size     <entries>
//	    max_inflight   <n>
//	    client_rate    <n> <duration>
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
	start := *d
	name := defaultService
	if err := serviceArg(d, &name); err != nil {
		return nil, err
	}
	if _, exists := app.Services[name]; exists {
		return nil, d.Errf("service %q is configured twice: give one of them another name", name)
	}
	service := new(Service)
	if err := service.unmarshalOptions(d); err != nil {
		return nil, err
	}
	if err := service.check(); err != nil {
		return nil, start.WrapErr(fmt.Errorf("service %q: %w", name, err))
	}
	app.Services[name] = service
	return httpcaddyfile.App{Name: "bws", Value: caddyconfig.JSON(app, nil)}, nil
}

func (s *Service) unmarshalOptions(d *caddyfile.Dispenser) error {
	return eachOption(d, nil, func(option string) error {
		if err := s.unmarshalOption(d, option); err != nil {
			return err
		}
		return located(d, s.checkWritten())
	})
}

func (s *Service) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "endpoint":
		return oneArg(d, option, &s.Endpoint)
	case "app_id":
		return oneArg(d, option, &s.AppID)
	case "app_secret":
		return oneArg(d, option, &s.AppSecret)
	case "proxy":
		return oneArg(d, option, &s.Proxy)
	case "timeout":
		return durationArg(d, option, &s.Timeout, minTimeout, maxTimeout)
	case "cache_ttl":
		s.CacheTTL = new(caddy.Duration)
		return durationArg(d, option, s.CacheTTL, 0, maxCacheTTL)
	case "failure_ttl":
		s.FailureTTL = new(caddy.Duration)
		return durationArg(d, option, s.FailureTTL, 0, maxFailureTTL)
	case "cache_size":
		return countArg(d, option, &s.CacheSize, maxCacheSize)
	case "max_inflight":
		return countArg(d, option, &s.MaxInflight, maxMaxInflight)
	case "client_rate":
		return s.unmarshalClientRate(d)
	case "tls_trust_pool":
		return s.unmarshalTrustPool(d)
	}
	return unknownOption(d, "endpoint, app_id, app_secret, timeout, cache_ttl, failure_ttl, cache_size, max_inflight, client_rate, "+
		"proxy, tls_trust_pool")
}

func (s *Service) unmarshalClientRate(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("client_rate takes two values, but %d are given; write a number of calls and a duration, such as 60 1m", len(args))
	}
	s.ClientRate = new(ClientRate)
	if err := parseCount(d, "client_rate", args[0], &s.ClientRate.Calls, maxRateCalls); err != nil {
		return err
	}
	return parseDuration(d, "client_rate", args[1], &s.ClientRate.Per, minRatePer, maxRatePer)
}

func (s *Service) unmarshalTrustPool(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("tls_trust_pool: the source of the CA certificates is missing: write one such as file <pem_file>")
	}
	source := d.Val()
	id := "tls.ca_pool.source." + source
	if _, err := caddy.GetModule(id); err != nil {
		return d.Errf("tls_trust_pool: unknown source %q: use inline, file, or another that this Caddy was built with", source)
	}
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return fmt.Errorf("tls_trust_pool %s: %w", source, err)
	}
	s.TLSTrustPoolRaw = caddyconfig.JSONModuleObject(module, "provider", source, nil)
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
	start := *d
	if err := serviceArg(d, &g.Service); err != nil {
		return err
	}
	err := eachOption(d, []string{"token"}, func(option string) error {
		if err := g.unmarshalOption(d, option); err != nil {
			return err
		}
		return located(d, g.checkOptions())
	})
	if err != nil {
		return err
	}
	return located(&start, g.checkTogether())
}

func (g *Gate) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "token":
		return g.unmarshalToken(d)
	case "allow":
		return someArgs(d, option, &g.Allow)
	case "bcid":
		return someArgs(d, option, &g.BCID)
	case "min_score":
		g.MinScore = new(float64)
		return numberArg(d, option, g.MinScore)
	case "min_margin":
		return numberArg(d, option, &g.MinMargin)
	case "max_age":
		return durationArg(d, option, &g.MaxAge, minMaxAge, maxMaxAge)
	case "require":
		return oneArg(d, option, &g.Require)
	case "deny":
		return g.unmarshalDeny(d)
	case "identity_headers":
		return g.unmarshalIdentityHeaders(d)
	case "report_only":
		g.ReportOnly = true
		return noArg(d, option)
	}
	return unknownOption(d,
		"token, allow, bcid, min_score, min_margin, max_age, require, deny, identity_headers, report_only")
}

func (g *Gate) unmarshalToken(d *caddyfile.Dispenser) error {
	const known = "cookie <name>, header <name> or bearer"
	if !d.NextArg() {
		return d.Err("token: the source is missing: use " + known)
	}
	var source TokenSource
	var err error
	switch kind := d.Val(); kind {
	case "cookie":
		err = oneArg(d, "token cookie", &source.Cookie)
	case "header":
		err = oneArg(d, "token header", &source.Header)
	case "bearer":
		source.Bearer = true
		err = noArg(d, "token bearer")
	default:
		err = d.Errf("token: unknown source %q: use %s", kind, known)
	}
	g.Token = append(g.Token, source)
	return err
}

func (g *Gate) unmarshalDeny(d *caddyfile.Dispenser) error {
	g.Deny = new(Denial)
	if !d.NextArg() {
		return d.Err("deny: the mode is missing: use respond, error or redirect <url>")
	}
	g.Deny.Mode = d.Val()
	if g.Deny.Mode == denyRedirect {
		return oneArg(d, "deny redirect", &g.Deny.To)
	}
	return noArg(d, "deny "+g.Deny.Mode)
}

func (g *Gate) unmarshalIdentityHeaders(d *caddyfile.Dispenser) error {
	g.IdentityHeaders = make(http.Header)
	if d.NextArg() {
		if d.Val() != "off" {
			return d.Errf("identity_headers: unknown value %q: use off, or a block of headers", d.Val())
		}
		return noArg(d, "identity_headers off")
	}
	err := eachOption(d, nil, func(header string) error {
		name := http.CanonicalHeaderKey(header)
		if _, repeated := g.IdentityHeaders[name]; repeated {
			return d.Errf("identity_headers: %s is set twice; keep one", name)
		}
		var value string
		if err := oneArg(d, "identity_headers: "+name, &value); err != nil {
			return err
		}
		g.IdentityHeaders[name] = []string{value}
		return located(d, g.checkIdentity())
	})
	if err != nil {
		return err
	}
	if len(g.IdentityHeaders) == 0 {
		return d.Err("identity_headers: no header is given; name one in a block, or write off")
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Gate)(nil)
