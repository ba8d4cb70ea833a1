package caddybws

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// runtimes are what services have at work: connections, what is remembered of tokens, the breaker and the limits. A service
// that a new configuration leaves as it was keeps them.
var runtimes = caddy.NewUsagePool()

// runtime is what a service has at work.
type runtime struct {
	client   *bws.Client
	verifier *verifier.Verifier
	rootCAs  *x509.CertPool
}

// Destruct ends what runs, once no configuration uses it any more.
func (r *runtime) Destruct() error {
	r.verifier.Close()
	return nil
}

// definition is all that makes two services the same. The secret is part of it, so that it must not be shown.
type definition struct {
	Endpoint  string
	AppID     string
	AppSecret string
	Proxy     string
	TrustPool json.RawMessage
	Limits    limits
}

// acquire joins the runtime of services like this one, or starts one.
func (s *Service) acquire(ctx caddy.Context) error {
	d, err := s.define()
	if err != nil {
		return err
	}
	rootCAs, err := s.trustPool(ctx)
	if err != nil {
		return err
	}
	key, err := d.key()
	if err != nil {
		return err
	}
	shared, err := loadRuntime(key, &d, rootCAs)
	if err != nil {
		return err
	}
	if !sameCAs(shared.rootCAs, rootCAs) {
		// The same source of certificates has others now: this service needs connections of its own.
		if _, err := runtimes.Delete(key); err != nil {
			return err
		}
		key += rand.Text()
		if shared, err = loadRuntime(key, &d, rootCAs); err != nil {
			return err
		}
	}
	s.runtimeKey, s.client, s.verifier = key, shared.client, shared.verifier
	s.setIdentity()
	return s.provisionAudit(d.AppSecret)
}

// release lets go of the runtime.
func (s *Service) release() error {
	key := s.runtimeKey
	if key == "" {
		return nil
	}
	s.runtimeKey = ""
	_, err := runtimes.Delete(key)
	return err
}

func loadRuntime(key string, d *definition, rootCAs *x509.CertPool) (*runtime, error) {
	value, _, err := runtimes.LoadOrNew(key, func() (caddy.Destructor, error) { return d.start(rootCAs) })
	if err != nil {
		return nil, err
	}
	return value.(*runtime), nil
}

func sameCAs(a, b *x509.CertPool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(b)
}

// define resolves placeholders and fills in defaults.
func (s *Service) define() (definition, error) {
	d := definition{TrustPool: s.TLSTrustPoolRaw, Limits: s.limits()}
	for _, field := range []struct {
		name, value string
		resolved    *string
	}{
		{"endpoint", s.Endpoint, &d.Endpoint},
		{"app_id", s.AppID, &d.AppID},
		{"app_secret", s.AppSecret, &d.AppSecret},
		{"proxy", s.Proxy, &d.Proxy},
	} {
		var err error
		if *field.resolved, err = resolve(field.value); err != nil {
			return definition{}, fmt.Errorf("%s: %w", field.name, err)
		}
	}
	return d, nil
}

// key is the same for services that are the same, and tells nothing of them.
func (d *definition) key() (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// start sets a runtime up. It opens no connection.
func (d *definition) start(rootCAs *x509.CertPool) (*runtime, error) {
	client, err := d.connect(rootCAs)
	if err != nil {
		return nil, err
	}
	return &runtime{client: client, rootCAs: rootCAs, verifier: watched(verifier.Config{
		Client:      client,
		Timeout:     d.Limits.Timeout,
		SuccessTTL:  d.Limits.SuccessTTL,
		FailureTTL:  d.Limits.FailureTTL,
		Size:        d.Limits.Size,
		MaxInflight: d.Limits.Inflight,
		ClientCalls: d.Limits.RateCalls,
		ClientPer:   d.Limits.RatePer,
		Now:         time.Now,
	})}, nil
}

// connect returns a client. It opens no connection.
func (d *definition) connect(rootCAs *x509.CertPool) (*bws.Client, error) {
	transport := bws.TransportConfig{RootCAs: rootCAs}
	if d.Proxy != "" {
		var err error
		if transport.Proxy, err = parseProxy(d.Proxy); err != nil {
			return nil, err
		}
	}
	return bws.NewClient(bws.Config{
		Endpoint:  d.Endpoint,
		AppID:     d.AppID,
		AppSecret: d.AppSecret,
		Timeout:   d.Limits.Timeout,
		Transport: bws.NewTransport(transport),
	})
}

func (s *Service) trustPool(ctx caddy.Context) (*x509.CertPool, error) {
	if isUnset(s.TLSTrustPoolRaw) {
		return nil, nil
	}
	if !hasMember(s.TLSTrustPoolRaw, "provider") {
		return nil, errors.New(`tls_trust_pool: "provider" is missing: name one such as file or inline`)
	}
	module, err := ctx.LoadModule(s, "TLSTrustPoolRaw")
	if err != nil {
		return nil, fmt.Errorf("loading tls_trust_pool: correct its options: %w", err)
	}
	ca, ok := module.(caddytls.CA)
	if !ok {
		return nil, fmt.Errorf("tls_trust_pool: %T is not a source of CA certificates; use inline or file", module)
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
	resolved, err := repl.ReplaceOrErr(value, true, true)
	if err != nil {
		return "", fmt.Errorf("%w; give it a value, or write the value itself", err)
	}
	return resolved, nil
}

func parseProxy(value string) (*url.URL, error) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) {
		// The value may hold a password.
		return nil, errors.New("proxy: not a URL of a proxy; write one of the form http://host:port, https://host:port or socks5://host:port")
	}
	return u, nil
}

// Interface guards
var _ caddy.Destructor = (*runtime)(nil)
