package main

import (
	"context"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

func init() {
	caddy.RegisterModule(new(Storage))
}

const (
	// slowness is what each operation of a slow storage takes.
	slowness = 300 * time.Millisecond
	// lookAgain is how often a hanging storage looks whether it is to go on.
	lookAgain = 20 * time.Millisecond
)

// Storage is a folder that fails as a file beside it says, whose name is the folder's with .fault: "slow", "hanging", "failing" or
// "read-only". Anything else is no fault.
//
//	storage faulty <folder>
type Storage struct {
	// The folder.
	Root string `json:"root"`

	storage *ledgertest.Faulty
}

// CaddyModule returns the Caddy module information.
func (*Storage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.faulty", New: func() caddy.Module { return new(Storage) }}
}

// UnmarshalCaddyfile reads the folder.
func (s *Storage) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&s.Root) {
		return d.ArgErr()
	}
	return nil
}

// Provision wraps the folder.
func (s *Storage) Provision(caddy.Context) error {
	s.storage = ledgertest.NewFaulty(&certmagic.FileStorage{Path: s.Root})
	s.storage.Set(ledgertest.Fault{Before: s.fail})
	return nil
}

// CertMagicStorage returns the storage.
func (s *Storage) CertMagicStorage() (certmagic.Storage, error) { return s.storage, nil }

// fault says how the storage fails now.
func (s *Storage) fault() string {
	word, _ := os.ReadFile(s.Root + ".fault")
	return string(word)
}

func (s *Storage) fail(ctx context.Context, operation ledgertest.Operation, key string) error {
	var fault ledgertest.Fault
	switch s.fault() {
	case "slow":
		fault = ledgertest.Slow(slowness)
	case "failing":
		fault = ledgertest.Failing()
	case "read-only":
		fault = ledgertest.ReadOnly()
	case "hanging":
		for s.fault() == "hanging" {
			time.Sleep(lookAgain)
		}
		return nil
	default:
		return nil
	}
	return fault.Before(ctx, operation, key)
}

// Interface guards
var (
	_ caddy.Provisioner      = (*Storage)(nil)
	_ caddy.StorageConverter = (*Storage)(nil)
	_ caddyfile.Unmarshaler  = (*Storage)(nil)
)
