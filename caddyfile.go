package caddybws

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
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
//	    storage        <module> ...
//	    storage_grace  <duration>
//	    audit_hash
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
	case "storage":
		return s.unmarshalStorage(d)
	case "storage_grace":
		return durationArg(d, option, &s.StorageGrace, minStorageGrace, maxStorageGrace)
	case "audit_hash":
		s.AuditHash = true
		return noArg(d, option)
	}
	return unknownOption(d, "endpoint, app_id, app_secret, timeout, cache_ttl, failure_ttl, cache_size, max_inflight, client_rate, "+
		"proxy, tls_trust_pool, storage, storage_grace, audit_hash")
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
		return fmt.Errorf("tls_trust_pool %s: correct its options: %w", source, err)
	}
	s.TLSTrustPoolRaw = caddyconfig.JSONModuleObject(module, "provider", source, nil)
	return nil
}

func (s *Service) unmarshalStorage(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("storage: the module is missing: write one such as file_system <path>")
	}
	name := d.Val()
	id := "caddy.storage." + name
	if _, err := caddy.GetModule(id); err != nil {
		return d.Errf("storage: unknown module %q: use file_system, or another that this Caddy was built with", name)
	}
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return fmt.Errorf("storage %s: correct its options: %w", name, err)
	}
	s.StorageRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}
