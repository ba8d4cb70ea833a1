package caddybws

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/assertion"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// defaultService is the name of the service that gates use unless they name another.
const defaultService = "default"

// App holds the services: the connections to the BioID Web Service that gates share.
type App struct {
	// Services by name. A name consists of letters, digits, `_` and `-`. A gate that names none uses the one called
	// `default`.
	Services map[string]*Service `json:"services,omitempty"`

	ctx    caddy.Context
	events *events
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

	// How long a successful result may be reused without asking BWS again. The result of a token can change, since it is that
	// of the last operation, so that this is also how long a later failure may go unnoticed. 0 is off. Default: 10s; 0 to 10m.
	CacheTTL *caddy.Duration `json:"cache_ttl,omitempty"`

	// How long a failed result or the rejection of a token may be reused, which is how long somebody who tries again with the
	// same token may have to wait. 0 is off. That an operation has not been performed yet is never remembered. Default: 1s; 0
	// to 1m.
	FailureTTL *caddy.Duration `json:"failure_ttl,omitempty"`

	// How many tokens are remembered, at some 400 bytes each; those used least make room. Default: 100000; 1 to 10000000.
	CacheSize int `json:"cache_size,omitempty"`

	// How many calls to BWS may be under way at once. A request that would need one more is denied with `service_busy`.
	// Default: 64; 1 to 10000.
	MaxInflight int `json:"max_inflight,omitempty"`

	// How many calls to BWS a client may cause for tokens that BWS has not accepted before. Default: 60 in 1m.
	ClientRate *ClientRate `json:"client_rate,omitempty"`

	// The URL of a proxy through which BWS is reached: `http`, `https` or `socks5`. Default: none; the proxy settings of
	// the environment are not used.
	Proxy string `json:"proxy,omitempty"`

	// Where the certificates of the authorities come from that vouch for the endpoint, for a BWS with a private CA.
	// Default: the system's.
	TLSTrustPoolRaw json.RawMessage `json:"tls_trust_pool,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`

	// Where nodes keep what all of them must know: keys, spent tokens, revocations. Nodes with the same storage
	// and the same service are one. Default: the storage Caddy is configured with.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=caddy.storage inline_key=module"`

	// For how long sessions still open when the storage does not say what has been revoked meanwhile. After that, they are
	// denied with `ledger_unavailable`. Default: 5m; 10s to 24h.
	StorageGrace caddy.Duration `json:"storage_grace,omitempty"`

	// Have the audit log show a keyed hash in place of the BCID: who reads it can tell persons apart, and not who they are. The hash
	// is the same on all nodes, and changes with the App-Secret. Default: false.
	AuditHash bool `json:"audit_hash,omitempty"`

	client   *bws.Client
	verifier *verifier.Verifier
	ledger   *ledger.Ledger
	signer   *assertion.Signer
	logger   *zap.Logger
	events   *events
	now      func() time.Time
	// identity is the same for the same service on all nodes.
	identity [32]byte
	// sealedFor is identity as a part of what sealed values are bound to.
	sealedFor string
	grace     time.Duration
	// runtimeKey is what the service's runtime is shared by, empty if the service holds none.
	runtimeKey string
	shared     sharing
	// auditHash is set if the audit log names nobody.
	auditHash *auditHasher
	repeats   *repeats
}

// ClientRate bounds how many calls to BWS the requests of one client may cause for tokens that BWS has not accepted before. A
// client is an address as Caddy sees it (`client_ip`), or a /64 of IPv6. Requests beyond it are denied with `rate_limited`.
type ClientRate struct {
	// How many calls, all of which may come at once. Required; 1 to 1000000.
	Calls int `json:"calls,omitempty"`

	// In which time. Required; 1s to 24h.
	Per caddy.Duration `json:"per,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "bws",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets the services up. It opens no connection and touches no storage.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	if err := metrics.register(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	var err error
	if a.events, err = newEvents(ctx); err != nil {
		return err
	}
	for name, s := range a.Services {
		if err := checkServiceName(name); err != nil {
			return err
		}
		if s == nil {
			return fmt.Errorf("service %q: %w", name, errNullService)
		}
		s.events = a.events
		if err := s.provision(ctx, name); err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	return nil
}

// Start begins to read what other nodes have stored. Connections to BWS are opened when they are needed.
func (a *App) Start() error {
	for _, s := range a.Services {
		s.startLedger()
	}
	a.events.start()
	apps.add(a)
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		warnOfRoutes(a.ctx, app.(*caddyhttp.App), a.ctx.Logger())
	}
	return nil
}

// Stop lets requests in flight finish with their own deadline.
func (a *App) Stop() error {
	apps.remove(a)
	for _, s := range a.Services {
		s.repeats.stop()
	}
	return nil
}

// Cleanup lets go of what the services share with other configurations.
func (a *App) Cleanup() error {
	apps.remove(a)
	var failures []error
	for _, s := range a.Services {
		if s == nil {
			continue
		}
		if s.repeats != nil {
			s.repeats.stop() // where Stop has not been called, since starting has failed
		}
		failures = append(failures, s.release(), s.releaseLedger())
	}
	return errors.Join(failures...)
}

// serviceOf returns the service that a handler names.
func serviceOf(ctx caddy.Context, name string) (*Service, error) {
	app, err := ctx.App("bws")
	if err != nil {
		return nil, fmt.Errorf("loading the bws app: %w", err)
	}
	return app.(*App).service(cmp.Or(name, defaultService))
}

var errNullService = errors.New("it is null: give it at least app_id and app_secret")

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
	s.now, s.logger = time.Now, ctx.Logger().Named(name)
	s.repeats = newRepeats(s.now)
	for _, warning := range s.warnings() {
		s.logger.Warn(warning)
	}
	if err := s.acquire(ctx); err != nil {
		return err
	}
	return s.acquireLedger(ctx)
}

// warnings are about what is allowed but probably not meant.
func (s *Service) warnings() (warnings []string) {
	if ttl := s.limits().SuccessTTL; ttl > wiseCacheTTL {
		warnings = append(warnings, fmt.Sprintf("cache_ttl is above a minute (%s): whoever fails after a success passes for that long; "+
			"choose 1m or less", ttl))
	}
	return warnings
}

// check finds mistakes that need no placeholder resolved.
func (s *Service) check() error {
	if s.AppID == "" {
		return errors.New("app_id is missing: give the App-ID that BioID assigned")
	}
	if s.AppSecret == "" {
		return errors.New("app_secret is missing: use a placeholder such as {env.BWS_APP_SECRET}")
	}
	limits := s.limits()
	if err := limits.check(); err != nil {
		return err
	}
	if s.StorageGrace != 0 {
		if err := checkDuration("storage_grace", s.StorageGrace, minStorageGrace, maxStorageGrace); err != nil {
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
