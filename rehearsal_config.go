package caddybws

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// provisionOffline loads a configuration without anything that would reach out: logs, storage, health checks, secrets.
func provisionOffline(config []byte, dir string) (*caddyhttp.App, *App, error) {
	quiet, err := offline(config, dir)
	if err != nil {
		return nil, nil, err
	}
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(quiet, &c); err != nil {
		return nil, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	ctx, err := caddy.ProvisionContext(&c)
	if err != nil {
		return nil, nil, fmt.Errorf("loading the configuration: %w", err)
	}
	site, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil, nil, errNoSite
	}
	services, err := ctx.App("bws")
	if err != nil {
		return nil, nil, fmt.Errorf("loading the bws app: %w", err)
	}
	return site.(*caddyhttp.App), services.(*App), nil
}

// offline rewrites a configuration so that loading it leaves no trace outside of dir.
func offline(config []byte, dir string) ([]byte, error) {
	var root map[string]any
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if root == nil {
		root = make(map[string]any)
	}
	root["admin"] = map[string]any{"disabled": true}
	root["logging"] = map[string]any{"logs": silent(membersOf(membersOf(root["logging"])["logs"]), filepath.Join(dir, "log"))}
	root["storage"] = map[string]any{"module": "file_system", "root": dir}
	for _, service := range membersOf(membersOf(membersOf(root["apps"])["bws"])["services"]) {
		options := membersOf(service)
		delete(options, "storage")
		delete(options, "tls_trust_pool")
		if _, given := options["app_secret"]; given {
			options["app_secret"] = "not needed"
		}
	}
	withoutHealthChecks(root)
	return json.Marshal(root)
}

// silent has logs write into a file that nobody reads. Their formats stay, since there can be something to say about these: a log whose
// output is discarded has none.
func silent(logs map[string]any, file string) map[string]any {
	quiet := map[string]any{"default": make(map[string]any)}
	maps.Copy(quiet, logs)
	for _, log := range quiet {
		if options := membersOf(log); options != nil {
			options["writer"] = map[string]any{"output": "file", "filename": file}
		}
	}
	return quiet
}

func membersOf(value any) map[string]any {
	members, _ := value.(map[string]any)
	return members
}

// withoutHealthChecks removes those of reverse proxies, which begin when they are loaded.
func withoutHealthChecks(value any) {
	switch v := value.(type) {
	case map[string]any:
		if v["handler"] == "reverse_proxy" {
			delete(v, "health_checks")
		}
		for _, member := range v {
			withoutHealthChecks(member)
		}
	case []any:
		for _, element := range v {
			withoutHealthChecks(element)
		}
	}
}
