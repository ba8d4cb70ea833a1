package caddybws

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	"github.com/caddy-bws/caddy-bws/internal/ledger"
)

// What a reload leaves as it was keeps its ledger, whatever else changes about the service; nothing else does.
func TestServicesShareTheirLedger(t *testing.T) {
	files := func(root string) json.RawMessage {
		return json.RawMessage(`{"module":"file_system","root":"` + root + `"}`)
	}
	base := func() Service { return Service{AppID: "ledger", AppSecret: "secret", StorageRaw: files("/nowhere/a")} }
	first := loadApp(t, base()).Services["default"]
	for name, test := range map[string]struct {
		edit func(*Service)
		same bool
	}{
		"nothing":           {func(*Service) {}, true},
		"limits":            {func(s *Service) { s.Timeout = caddy.Duration(time.Second) }, true},
		"secret":            {func(s *Service) { s.AppSecret = "other" }, true},
		"grace":             {func(s *Service) { s.StorageGrace = caddy.Duration(time.Hour) }, true},
		"endpoint, slashed": {func(s *Service) { s.Endpoint = "https://bws.bioid.com/extension/" }, true},
		"endpoint":          {func(s *Service) { s.Endpoint = "https://bws.example/extension" }, false},
		"app_id":            {func(s *Service) { s.AppID = "ledger2" }, false},
		"storage":           {func(s *Service) { s.StorageRaw = files("/nowhere/b") }, false},
		"Caddy's storage":   {func(s *Service) { s.StorageRaw = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := base()
			test.edit(&s)
			second := loadApp(t, s).Services["default"]
			if same := second.ledger == first.ledger; same != test.same {
				t.Errorf("shared: %v, want %v", same, test.same)
			}
			if s.StorageGrace != 0 && second.grace != time.Hour {
				t.Errorf("storage_grace is %s", second.grace)
			}
		})
	}
}

// A ledger begins with the first configuration that starts, and ends with the last that is cleaned up.
func TestLedgersLifetime(t *testing.T) {
	root := t.TempDir()
	load := func() *App {
		return loadApp(t, Service{AppID: "lifetime", AppSecret: "secret", StorageRaw: json.RawMessage(`{"module":"file_system","root":"` + root + `"}`)})
	}
	calls := ledgerCalls.Calls()
	first := load()
	s := first.Services["default"]
	if _, read := s.ledger.StaleFor(s.now()); read || !maps.Equal(ledgerCalls.Calls(), calls) {
		t.Error("the storage is read before the start")
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	s.ledger.Ready(t.Context())
	if _, err := s.ledger.Keys(ledger.Sessions).Current(); err != nil {
		t.Errorf("after the start: %v", err)
	}
	second := load()
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	if err := first.Cleanup(); err != nil {
		t.Fatal(err)
	}
	// The second one's storage is used from now on.
	if err := second.Services["default"].ledger.Revoke(t.Context(), ledger.OfService()); err != nil {
		t.Error(err)
	}
	key := second.Services["default"].shared.key
	if err := second.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if _, known := ledgers.References(key); known {
		t.Error("the ledger outlives all configurations")
	}
	if err := s.ledger.Revoke(t.Context(), ledger.OfService()); err == nil {
		t.Error("the ledger has a storage though it belongs to nobody")
	}
}
