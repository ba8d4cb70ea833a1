package caddybws

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// defaultService is the name of the service that gates use unless they name another.
const defaultService = "default"

const (
	minTimeout = 100 * time.Millisecond
	maxTimeout = time.Minute
)

// App holds the services: the connections to the BioID Web Service that gates share.
type App struct {
	// Services by name. A name consists of letters, digits, `_` and `-`. A gate that names none uses the one called
	// `default`.
	Services map[string]*Service `json:"services,omitempty"`
}

// Service is one connection to the BioID Web Service (BWS). Every string supports global placeholders such as `{env.*}` and
// `{file.*}`, which are resolved once, when the configuration is loaded; one that is unknown or empty refuses to load.
type Service struct {
	// The address of the Web API, with or without a trailing slash. `http://` is accepted for loopback addresses only.
	// Default: `https://bws.bioid.com/extension`.
	Endpoint string `json:"endpoint,omitempty"`

	// The App-ID under which the tokens are requested. Required; it contains no colon.
	AppID string `json:"app_id,omitempty"`

	// The secret that belongs to the App-ID. Required; use a placeholder such as `{env.BWS_APP_SECRET}`, so that the
	// configuration does not hold it.
	AppSecret string `json:"app_secret,omitempty"`

	// How long one check of a token may take in all: connecting, sending, waiting, reading. Default: 5s; 100ms to 1m.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The URL of a proxy through which BWS is reached: `http`, `https` or `socks5`. Default: none; the proxy settings of
	// the environment are not used.
	Proxy string `json:"proxy,omitempty"`

	// Where the certificates of the authorities come from that vouch for the endpoint, for a BWS with a private CA.
	// Default: the system's.
	TLSTrustPoolRaw json.RawMessage `json:"tls_trust_pool,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`

	client   *bws.Client
	verifier *verifier.Verifier
	now      func() time.Time
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "bws",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets the services up. It opens no connection.
func (a *App) Provision(ctx caddy.Context) error {
	for name, s := range a.Services {
		if err := checkServiceName(name); err != nil {
			return err
		}
		if s == nil {
			return fmt.Errorf("service %q is null: give it at least app_id and app_secret", name)
		}
		if err := s.provision(ctx, name); err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	return nil
}

// Start does nothing: connections are opened when they are needed.
func (a *App) Start() error { return nil }

// Stop does nothing: requests in flight finish with their own deadline.
func (a *App) Stop() error { return nil }

// Cleanup closes idle connections.
func (a *App) Cleanup() error {
	for _, s := range a.Services {
		if s != nil && s.client != nil {
			s.client.CloseIdleConnections()
		}
	}
	return nil
}

// service returns the service a gate names.
func (a *App) service(name string) (*Service, error) {
	if s, ok := a.Services[name]; ok {
		return s, nil
	}
	if name == defaultService {
		return nil, errors.New(`no default service is configured: add the global option "bws" with app_id and app_secret`)
	}
	return nil, fmt.Errorf(`no service %q is configured: add the global option "bws %s" or correct the name`, name, name)
}

func (s *Service) provision(ctx caddy.Context, name string) error {
	if err := s.check(); err != nil {
		return err
	}
	config, err := s.clientConfig(ctx)
	if err != nil {
		return err
	}
	if s.client, err = bws.NewClient(config); err != nil {
		return err
	}
	s.now = time.Now
	s.verifier = verifier.New(s.client, ctx.Logger().Named(name), s.now)
	return nil
}

// check finds mistakes that need no placeholder resolved.
func (s *Service) check() error {
	if s.AppID == "" {
		return errors.New("app_id is missing: it is the App-ID that BioID assigned")
	}
	if s.AppSecret == "" {
		return errors.New("app_secret is missing: use a placeholder such as {env.BWS_APP_SECRET}")
	}
	if s.Timeout != 0 {
		if err := checkDuration("timeout", s.Timeout, minTimeout, maxTimeout); err != nil {
			return err
		}
	}
	return s.checkWritten()
}

// checkWritten finds mistakes in the values that are written out, without placeholders, as far as they are given. The
// Caddyfile asks after each option, since then it can say the line.
func (s *Service) checkWritten() error {
	written := func(value, otherwise string) string {
		if value == "" || hasPlaceholder(value) {
			return otherwise
		}
		return value
	}
	if proxy := written(s.Proxy, ""); proxy != "" {
		if _, err := parseProxy(proxy); err != nil {
			return err
		}
	}
	// The client knows best what it accepts; what is not known yet is assumed to be fine.
	_, err := bws.NewClient(bws.Config{
		Endpoint:  written(s.Endpoint, bws.DefaultEndpoint),
		AppID:     written(s.AppID, "known later"),
		AppSecret: written(s.AppSecret, "known later"),
		Transport: http.DefaultTransport,
	})
	return err
}

func (s *Service) clientConfig(ctx caddy.Context) (bws.Config, error) {
	config := bws.Config{Timeout: time.Duration(s.Timeout)}
	var proxy string
	for _, field := range []struct {
		name, value string
		resolved    *string
	}{
		{"endpoint", s.Endpoint, &config.Endpoint},
		{"app_id", s.AppID, &config.AppID},
		{"app_secret", s.AppSecret, &config.AppSecret},
		{"proxy", s.Proxy, &proxy},
	} {
		var err error
		if *field.resolved, err = resolve(field.value); err != nil {
			return bws.Config{}, fmt.Errorf("%s: %w", field.name, err)
		}
	}
	var transport bws.TransportConfig
	if proxy != "" {
		var err error
		if transport.Proxy, err = parseProxy(proxy); err != nil {
			return bws.Config{}, err
		}
	}
	var err error
	if transport.RootCAs, err = s.trustPool(ctx); err != nil {
		return bws.Config{}, err
	}
	config.Transport = bws.NewTransport(transport)
	return config, nil
}

func (s *Service) trustPool(ctx caddy.Context) (*x509.CertPool, error) {
	// An empty object is what a configuration has that spells every option out.
	if len(s.TLSTrustPoolRaw) == 0 || string(s.TLSTrustPoolRaw) == "{}" {
		return nil, nil
	}
	module, err := ctx.LoadModule(s, "TLSTrustPoolRaw")
	if err != nil {
		return nil, fmt.Errorf("loading tls_trust_pool: %w", err)
	}
	ca, ok := module.(caddytls.CA)
	if !ok {
		return nil, fmt.Errorf("tls_trust_pool: %T is not a source of CA certificates", module)
	}
	return ca.CertPool(), nil
}

// resolve replaces global placeholders once. An unknown or empty one is an error, because a service with half of its
// credentials would deny everybody later.
func resolve(value string) (string, error) {
	repl := caddy.NewReplacer()
	if _, err := repl.ReplaceOrErr(value, false, true); err != nil {
		// Not named, since what looks like a placeholder may be a part of a secret.
		return "", errors.New(`holds an unknown placeholder: use {env.<name>} or {file.<path>}, and \{ for a brace`)
	}
	return repl.ReplaceOrErr(value, true, true)
}

func parseProxy(value string) (*url.URL, error) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) {
		// The value may hold a password.
		return nil, errors.New("proxy: not a URL of the form http://host:port, https://host:port or socks5://host:port")
	}
	return u, nil
}

func checkServiceName(name string) error {
	valid := func(r rune) bool {
		return r == '_' || r == '-' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !valid(r) }) {
		return fmt.Errorf("service name %q: use letters, digits, _ and - only", name)
	}
	return nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
