package caddybws

import (
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// loadApp provisions an app as a new configuration does, and cleans it up at the end of the test unless that has happened before.
func loadApp(t *testing.T, s Service) *App {
	t.Helper()
	ctx, err := caddy.ProvisionContext(new(caddy.Config))
	if err != nil {
		t.Fatal(err)
	}
	app := &App{Services: map[string]*Service{"default": &s}}
	t.Cleanup(func() { _ = app.Cleanup() })
	if err := app.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return app
}

func durationOf(d time.Duration) *caddy.Duration {
	value := caddy.Duration(d)
	return &value
}

// Security case 105: what a reload leaves as it was goes on as it was, and nothing else does.
func TestServicesShareTheirRuntime(t *testing.T) {
	t.Setenv("BWS_TEST_SECRET", "secret")
	base := Service{AppID: "app", AppSecret: "secret"}
	first := loadApp(t, base)
	for name, test := range map[string]struct {
		edit func(*Service)
		same bool
	}{
		"nothing":              {func(*Service) {}, true},
		"a default spelled":    {func(s *Service) { s.Timeout = caddy.Duration(defaultTimeout) }, true},
		"the secret's origin":  {func(s *Service) { s.AppSecret = "{env.BWS_TEST_SECRET}" }, true},
		"endpoint":             {func(s *Service) { s.Endpoint = "https://bws.example/extension" }, false},
		"app_id":               {func(s *Service) { s.AppID = "other" }, false},
		"app_secret":           {func(s *Service) { s.AppSecret = "other" }, false},
		"timeout":              {func(s *Service) { s.Timeout = caddy.Duration(time.Second) }, false},
		"cache_ttl":            {func(s *Service) { s.CacheTTL = durationOf(0) }, false},
		"failure_ttl":          {func(s *Service) { s.FailureTTL = durationOf(0) }, false},
		"cache_size":           {func(s *Service) { s.CacheSize = 1 }, false},
		"max_inflight":         {func(s *Service) { s.MaxInflight = 1 }, false},
		"client_rate":          {func(s *Service) { s.ClientRate = &ClientRate{60, caddy.Duration(time.Hour)} }, false},
		"client_rate, default": {func(s *Service) { s.ClientRate = &ClientRate{60, caddy.Duration(time.Minute)} }, true},
		"proxy":                {func(s *Service) { s.Proxy = "http://proxy.example:3128" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := base
			test.edit(&s)
			second := loadApp(t, s)
			if same := second.Services["default"].verifier == first.Services["default"].verifier; same != test.same {
				t.Errorf("shared: %v, want %v", same, test.same)
			}
		})
	}
}

func TestRuntimeIsFreed(t *testing.T) {
	s := Service{AppID: "app", AppSecret: "freed"}
	first := loadApp(t, s)
	second := loadApp(t, s)
	key := first.Services["default"].runtimeKey
	for range 2 { // Caddy may clean up twice
		if err := first.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	if n, known := runtimes.References(key); !known || n != 1 {
		t.Errorf("%d references, want that of the second configuration", n)
	}
	if err := second.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if _, known := runtimes.References(key); known {
		t.Error("the runtime outlives all configurations")
	}
	if third := loadApp(t, s); third.Services["default"].verifier == second.Services["default"].verifier {
		t.Error("a configuration shares what has been freed")
	}
}

// A configuration that is refused lets go of what its other services have acquired.
func TestRefusedConfigurationFreesItsRuntimes(t *testing.T) {
	ctx, err := caddy.ProvisionContext(new(caddy.Config))
	if err != nil {
		t.Fatal(err)
	}
	good := &Service{AppID: "app", AppSecret: "refused"}
	app := &App{Services: map[string]*Service{"good": good, "bad": {AppID: "app"}, "none": nil}}
	if err := good.provision(ctx, "good"); err != nil {
		t.Fatal(err)
	}
	key := good.runtimeKey
	if err := app.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if _, known := runtimes.References(key); known {
		t.Error("the runtime is still held")
	}
}

// The file of a trust pool may hold other certificates when the same configuration is loaded again.
func TestRuntimeTrustsTheCertificatesOfItsTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(certificate []byte) {
		if err := os.WriteFile(file, certificate, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	source, err := json.Marshal(map[string]any{"provider": "file", "pem_files": []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	s := Service{AppID: "app", AppSecret: "trusting", TLSTrustPoolRaw: source}
	first, same := loadApp(t, s), loadApp(t, s)
	if first.Services["default"].verifier != same.Services["default"].verifier {
		t.Error("the same certificates are not shared")
	}

	other, err := os.ReadFile("integration/testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	write(other)
	changed := loadApp(t, s)
	if changed.Services["default"].verifier == first.Services["default"].verifier {
		t.Error("the certificates of the older configuration are still trusted")
	}
	if n, _ := runtimes.References(first.Services["default"].runtimeKey); n != 2 {
		t.Errorf("%d references of the older runtime, want 2", n)
	}
}
