package caddybws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/internal/assertion"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

// ledgers are what services remember together with other nodes. They outlive configurations, so that a reload neither forgets
// what is known nor has to read it again.
var ledgers = caddy.NewUsagePool()

// sharedLedger is the ledger of all services that are the same and use the same storage.
type sharedLedger struct {
	*ledger.Ledger
	signer *assertion.Signer
	start  sync.Once
}

// Destruct ends what runs, once no configuration uses it any more.
func (l *sharedLedger) Destruct() error {
	l.Stop()
	l.signer.Close()
	return nil
}

// sharing is a service's share in a ledger.
type sharing struct {
	ledger  *sharedLedger
	key     string
	storage certmagic.Storage
	detach  func()
}

// acquireLedger joins the ledger of services like this one, or sets one up.
func (s *Service) acquireLedger(ctx caddy.Context) error {
	storage, description, err := s.loadStorage(ctx)
	if err != nil {
		return err
	}
	s.grace = cmp.Or(time.Duration(s.StorageGrace), defaultStorageGrace)
	where := sha256.Sum256([]byte(description))
	key := hex.EncodeToString(s.identity[:]) + hex.EncodeToString(where[:])
	value, _, err := ledgers.LoadOrNew(key, func() (caddy.Destructor, error) { return s.newLedger(nil), nil })
	if err != nil {
		return err
	}
	shared := value.(*sharedLedger)
	s.shared = sharing{ledger: shared, key: key, storage: storage}
	s.use(shared)
	return nil
}

// newLedger sets a ledger up for this service, which lacks a storage until one is attached if none is given.
func (s *Service) newLedger(storage certmagic.Storage) *sharedLedger {
	l := ledger.New(ledger.Config{Storage: storage, ServiceID: s.identity, Now: s.now, Counters: &ledgerCalls})
	return &sharedLedger{Ledger: l, signer: assertion.NewSigner(l.Keys(ledger.Assertions), s.now)}
}

// use has the service work with a ledger.
func (s *Service) use(l *sharedLedger) { s.ledger, s.signer = l.Ledger, l.signer }

// startLedger lends this configuration's storage to the ledger, and has it begin to work.
func (s *Service) startLedger() {
	s.shared.detach = s.ledger.Attach(ledger.Host{Storage: s.shared.storage, Logger: s.logger.Named("ledger")})
	s.shared.ledger.start.Do(s.ledger.Start)
}

// releaseLedger lets go of the ledger.
func (s *Service) releaseLedger() error {
	shared := s.shared
	s.shared = sharing{}
	if shared.detach != nil {
		shared.detach()
	}
	if shared.ledger == nil {
		return nil
	}
	_, err := ledgers.Delete(shared.key)
	return err
}

// loadStorage returns the storage and a text that is the same for the same one in the next configuration.
func (s *Service) loadStorage(ctx caddy.Context) (certmagic.Storage, string, error) {
	if isUnset(s.StorageRaw) {
		storage := ctx.Storage()
		if named, ok := storage.(fmt.Stringer); ok {
			return storage, fmt.Sprintf("%T %s", storage, named), nil
		}
		return storage, fmt.Sprintf("%T %p", storage, storage), nil
	}
	if !hasMember(s.StorageRaw, "module") {
		// Caddy would quote all the others, of which one may be a password.
		return nil, "", errors.New(`storage: "module" is missing: name one such as file_system`)
	}
	description := string(s.StorageRaw) // loading empties it
	module, err := ctx.LoadModule(s, "StorageRaw")
	if err != nil {
		return nil, "", fmt.Errorf("loading storage: correct its options: %w", err)
	}
	converter, ok := module.(caddy.StorageConverter)
	if !ok {
		return nil, "", fmt.Errorf("storage: %T is no storage; use another module", module)
	}
	storage, err := converter.CertMagicStorage()
	if err != nil {
		return nil, "", fmt.Errorf("storage: %w", err)
	}
	return storage, description, nil
}

// isUnset reports whether a module is not given; an empty object is what a configuration has that spells every option out.
func isUnset(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "{}" || string(raw) == "null"
}

// hasMember reports whether a module's configuration has a member, such as the one that names the module.
func hasMember(raw json.RawMessage, name string) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(raw, &members) == nil && members[name] != nil
}

// setIdentity names the service in the same way on all nodes.
func (s *Service) setIdentity() {
	s.identity = sha256.Sum256([]byte("caddy-bws service\n" + s.client.Endpoint() + "\n" + s.client.AppID()))
	s.sealedFor = string(s.identity[:])
}

// knowsRevocations reports whether what has been revoked is known well enough to open sessions. Right after the start it waits
// for the first look.
func (s *Service) knowsRevocations(ctx context.Context, now time.Time) bool {
	if s.hasReadRevocations(now) {
		return true
	}
	s.ledger.Ready(ctx)
	return s.hasReadRevocations(now)
}

// hasReadRevocations reports the same without waiting.
func (s *Service) hasReadRevocations(now time.Time) bool {
	age, read := s.ledger.StaleFor(now)
	return read && age <= s.grace
}

// revoked reports whether a session, the token it derives from, or the person has been revoked.
func (s *Service) revoked(id session.ID, e *evidence.Evidence) bool {
	return s.ledger.Revoked(&ledger.Bearer{Session: id, Person: e.Person, NotBefore: e.NotBefore})
}

// Interface guards
var _ caddy.Destructor = (*sharedLedger)(nil)
