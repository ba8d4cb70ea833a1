// Package ledger holds what all nodes must remember: keys, spent tokens and revocations. They are kept on a storage that offers
// neither transactions nor expiry, and locks only at best.
//
// Everything is written once, under names that differ for each writer, and read by listing. So no two nodes ever compete for an
// entry, and neither safety nor progress depends on a lock. Whatever cannot be read or written is an error, or known to be stale;
// nobody is let in because of it.
package ledger

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// complaintInterval is how often a lasting fault of the storage is logged.
const complaintInterval = time.Minute

// Config is what a ledger needs.
type Config struct {
	// Storage is shared by all nodes. It may be nil until one is attached.
	Storage certmagic.Storage
	// ServiceID is the identity of the service; each has a ledger of its own in the storage.
	ServiceID [32]byte
	// Purposes are those that keys are needed for; default: all.
	Purposes []Purpose
	// Now is the clock; default: time.Now.
	Now func() time.Time
	// Logger gets the faults of the storage; default: nobody.
	Logger *zap.Logger
	// Counters count the calls of the storage; default: those of this ledger alone.
	Counters *Counters
}

// Ledger is one node's view of what all nodes remember about a service. Its methods are safe for concurrent use.
type Ledger struct {
	service string // the service's identity in hex
	root    location
	store   *store
	now     func() time.Time
	hosts   *hosts

	keys        map[string]*Keys
	revocations *revocations

	redeemed  *recent
	lockWait  time.Duration
	newestExp atomic.Int64 // when the newest token that was redeemed here ends
	sweptTo   atomic.Int64 // the first bucket of claims that is not swept

	syncing, sweeping sync.Mutex
	leftoversSwept    bool

	tried     chan struct{} // closed once the storage has been read for the first time, or could not be
	closeOnce sync.Once

	stop func()
	done sync.WaitGroup
}

// New returns a ledger that knows nothing yet. It does no I/O.
func New(config Config) *Ledger {
	hosts := newHosts(Host{config.Storage, config.Logger})
	counters := cmp.Or(config.Counters, new(Counters))
	l := &Ledger{
		service:  hex.EncodeToString(config.ServiceID[:]),
		root:     rootOf(config.ServiceID),
		store:    newStore(hosts, counters),
		now:      config.Now,
		hosts:    hosts,
		keys:     make(map[string]*Keys),
		redeemed: newRecent(),
		lockWait: lockWait,
		tried:    make(chan struct{}),
		stop:     func() {},
	}
	if l.now == nil {
		l.now = time.Now
	}
	l.revocations = newRevocations(l)
	purposes := config.Purposes
	if purposes == nil {
		purposes = Purposes()
	}
	for _, purpose := range purposes {
		l.keys[purpose.Name] = newKeys(l, purpose)
	}
	return l
}

// Keys returns the keys of a purpose, nil if the ledger was made without it.
func (l *Ledger) Keys(purpose Purpose) *Keys { return l.keys[purpose.Name] }

// Calls returns what the storage was asked for so far.
func (l *Ledger) Calls() map[Operation]Calls { return l.store.Calls() }

// Start begins to read, rotate and sweep in the background, at once and then regularly. Call it at most once.
func (l *Ledger) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	timeUp := time.AfterFunc(callLimit, l.endFirstTry)
	l.stop = func() {
		timeUp.Stop()
		cancel()
	}
	l.done.Go(func() { l.regularly(ctx, pollInterval, l.Sync) })
	l.done.Go(func() { l.regularly(ctx, sweepInterval, l.Sweep) })
}

// Stop ends what Start began, and waits for it. A ledger that has not been started, or has been stopped, is left as it is.
func (l *Ledger) Stop() {
	l.stop()
	l.done.Wait()
}

// Sync reads what the other nodes have stored, and rotates keys, if it is time for either. Start does it regularly.
func (l *Ledger) Sync(ctx context.Context) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	defer l.endFirstTry()
	err := l.revocations.sync(ctx)
	for _, keys := range l.keys {
		err = errors.Join(err, keys.sync(ctx))
	}
	return err
}

func (l *Ledger) endFirstTry() { l.closeOnce.Do(func() { close(l.tried) }) }

// Ready waits, right after the start, until the storage has been read for the first time. It does not wait for a storage that
// fails, and not for long for one that hangs.
func (l *Ledger) Ready(ctx context.Context) {
	select {
	case <-l.tried:
		return
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	select {
	case <-l.tried:
	case <-ctx.Done():
	}
}

// regularly works until ctx ends. It logs when the storage fails, once a minute while it does, and when it works again.
func (l *Ledger) regularly(ctx context.Context, interval time.Duration, work func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var complained time.Time
	for {
		switch err := work(ctx); {
		case ctx.Err() != nil:
			return
		case err == nil && !complained.IsZero():
			l.hosts.logger().Info("the storage works again")
			complained = time.Time{}
		case err != nil && due(complained, complaintInterval, l.now()):
			l.hosts.logger().Warn("the storage fails", zap.Error(err))
			complained = l.now()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// due reports whether it is time to do again what was done last, if ever. After the clock was put back, it is.
func due(last time.Time, interval time.Duration, now time.Time) bool {
	since := now.Sub(last)
	return last.IsZero() || since < 0 || since >= interval
}
