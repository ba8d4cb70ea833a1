package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// KeyRotation is how long a key is the newest.
	KeyRotation = 24 * time.Hour
	// KeyPropagation is how long a new key waits to be used, so that every node has read it by then.
	KeyPropagation = 5 * time.Minute
	// KeyPublication is how long before its use a key is published at least, and so how long a copy of what is published lacks
	// none that is in use: by nodes that have read the keys a moment ago, and whose clocks differ as much as is tolerated.
	KeyPublication = KeyPropagation - keysInterval - skew
	// keysInterval is how often the keys are read.
	keysInterval = time.Minute
	// rereadInterval is how often an unknown id may cause the keys to be read.
	rereadInterval = time.Second
	// maxKeys bounds the keys of a purpose.
	maxKeys = 256
	// maxStoring bounds the keys that the storage has not returned from, given up or not. All of them may be stored yet.
	maxStoring = 8
	// maxAskedFor leaves room for a month and more of rotations.
	maxAskedFor = 192
	// keysLimit is the time that reading all of them may take.
	keysLimit = 15 * time.Second
)

// Errors of keys.
var (
	// ErrNoKey is returned as long as no key could be read or created.
	ErrNoKey = errors.New("there is no key")
	// ErrTooManyKeys is returned for one rotation too many.
	ErrTooManyKeys = errors.New("there are too many keys")

	errStoringKeys = errors.New("the storage has not done with the last keys yet")
)

// Purpose is what keys are for. Keys of one purpose are unknown to the others.
type Purpose struct {
	// Name is made of a-z, 0-9 and -.
	Name string
	// Lifetime is how long what was sealed with a key must open after the next key has taken over.
	Lifetime time.Duration
}

// LongestAssertion is how long an assertion is good at most.
const LongestAssertion = 10 * time.Minute

// The purposes that a service has keys for.
var (
	// Sessions is the purpose of the keys that seal sessions.
	Sessions = Purpose{Name: "session", Lifetime: longestSession}
	// Assertions is the purpose of the keys that sign assertions. Their public halves are published.
	Assertions = Purpose{Name: "assertion", Lifetime: LongestAssertion}
)

// Purposes returns all of them.
func Purposes() []Purpose { return []Purpose{Sessions, Assertions} }

// Keys are the keys of one purpose, the same on all nodes: each reads what the others have created and never forgets a key
// before its end. Its methods are safe for concurrent use.
type Keys struct {
	purpose Purpose
	dir     location
	store   *store
	now     func() time.Time
	hosts   *hosts

	ring    atomic.Pointer[ring]
	storing atomic.Int32 // the keys that are being stored

	turn     turn // to change ring, and what follows
	lastRead time.Time
	odd      int // entries that could not be read the last time

	flight struct {
		sync.Mutex
		landed chan struct{} // nil if nobody is rereading
		last   time.Time
	}
}

// turn is a mutex that nobody need wait for longer than they want to.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) pass() { <-t }

func newKeys(l *Ledger, purpose Purpose) *Keys {
	k := &Keys{
		purpose: purpose,
		dir:     l.root.child(keysArea).child(purpose.Name),
		store:   l.store,
		now:     l.now,
		hosts:   l.hosts,
		turn:    make(turn, 1),
	}
	k.ring.Store(newRing(nil))
	return k
}

// Current returns the key to seal with now, or ErrNoKey.
func (k *Keys) Current() (*Key, error) {
	if current := k.ring.Load().current(k.now()); current != nil {
		return current, nil
	}
	return nil, ErrNoKey
}

// Find returns the key to open with, or ErrNoKey. An id that is unknown makes it read the keys, but not more than once a second
// for all callers together.
func (k *Keys) Find(ctx context.Context, id KeyID) (*Key, error) {
	key, known := k.ring.Load().byID[id]
	if !known {
		k.reread(ctx)
		key, known = k.ring.Load().byID[id]
	}
	if !known || !key.opens(k.now()) {
		return nil, ErrNoKey
	}
	return key, nil
}

// All returns the known keys, the newest first.
func (k *Keys) All() []*Key {
	return append([]*Key(nil), k.ring.Load().newestFirst...)
}

// Published returns the keys that somebody may have to open with, the newest first: those of the future, too. It reads what other
// nodes have created, but not more than once a second for all callers together.
func (k *Keys) Published(ctx context.Context) []*Key {
	k.reread(ctx)
	left, _ := k.ring.Load().split(k.now())
	return left.newestFirst
}

// Rotate creates a key that takes over as soon as every node can have read it.
func (k *Keys) Rotate(ctx context.Context) (*Key, error) {
	if err := k.turn.take(ctx); err != nil {
		return nil, err
	}
	defer k.turn.pass()
	now, known := k.now(), k.ring.Load()
	switch {
	case len(known.byID) >= maxAskedFor:
		return nil, ErrTooManyKeys
	case known.current(now) == nil:
		return k.create(ctx, now)
	}
	return k.create(ctx, now.Add(KeyPropagation))
}

// sync reads the keys and rotates, whenever it is time for either. Only who has just listed them creates one.
func (k *Keys) sync(ctx context.Context) error {
	if err := k.turn.take(ctx); err != nil {
		return err
	}
	defer k.turn.pass()
	now := k.now()
	if !due(k.lastRead, keysInterval, now) {
		return nil
	}
	if err := k.read(ctx); err != nil {
		return err
	}
	if useFrom, due := k.ring.Load().nextUse(now); due {
		if _, err := k.create(ctx, useFrom); err != nil {
			return err
		}
	}
	k.lastRead = now
	return nil
}

// reread reads the keys, or waits for whoever is doing so.
func (k *Keys) reread(ctx context.Context) {
	k.flight.Lock()
	if landed := k.flight.landed; landed != nil {
		k.flight.Unlock()
		select {
		case <-landed:
		case <-ctx.Done():
		}
		return
	}
	now := k.now()
	if !due(k.flight.last, rereadInterval, now) {
		k.flight.Unlock()
		return
	}
	landed := make(chan struct{})
	k.flight.last, k.flight.landed = now, landed
	k.flight.Unlock()

	defer func() {
		k.flight.Lock()
		k.flight.landed = nil
		k.flight.Unlock()
		close(landed)
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit) // others wait for it, too
	defer cancel()
	if k.turn.take(ctx) == nil {
		defer k.turn.pass()
		_ = k.read(ctx) // sync reports what is wrong with the storage
	}
}

// read adds what the others have created to the known keys. An entry that cannot be read is no reason to go without the rest,
// nor not to rotate. The caller has the turn.
func (k *Keys) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keysLimit)
	defer cancel()
	listed, err := k.store.list(ctx, k.dir, false, callLimit)
	if err != nil {
		return fmt.Errorf("listing %s keys: %w", k.purpose.Name, err)
	}
	known := k.ring.Load()
	found, odd := []*Key(nil), 0
	for _, listed := range listed {
		id, ok := parseKeyID(k.dir, listed)
		if !ok || known.byID[id] != nil || len(found)+len(known.byID) >= maxKeys {
			continue
		}
		key, err := k.load(ctx, id)
		switch {
		case err == nil:
			found = append(found, key)
		case !errors.Is(err, fs.ErrNotExist):
			odd++
		}
	}
	if odd > k.odd {
		k.hosts.logger().Warn("some keys cannot be read", zap.String("purpose", k.purpose.Name), zap.Int("keys", odd))
	}
	k.odd = odd
	k.add(found...)
	return nil
}

func (k *Keys) load(ctx context.Context, id KeyID) (*Key, error) {
	data, err := k.store.load(ctx, k.dir.child(id.String()))
	if err != nil {
		return nil, err
	}
	return decodeKey(id, data)
}

// create stores a new key. The caller has the turn.
func (k *Keys) create(ctx context.Context, useFrom time.Time) (*Key, error) {
	switch {
	case len(k.ring.Load().byID) >= maxKeys:
		return nil, ErrTooManyKeys
	case k.storing.Load() >= maxStoring:
		return nil, errStoringKeys
	}
	useFrom = useFrom.UTC().Truncate(time.Second)
	key := &Key{UseFrom: useFrom, OpenUntil: useFrom.Add(KeyRotation + k.purpose.Lifetime + skew)}
	_, _ = rand.Read(key.ID[:]) // never fails
	_, _ = rand.Read(key.secret[:])
	data, err := encodeKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	// What fails may arrive all the same, even after UseFrom. It is not made to wait anew, since nodes that start meanwhile could not
	// tell that it is late. Those that lack it read it when they meet it.
	if err := k.store.storeCounted(ctx, k.dir.child(key.ID.String()), data, &k.storing); err != nil {
		return nil, fmt.Errorf("storing a %s key: %w", k.purpose.Name, err)
	}
	k.hosts.logger().Info("created a key",
		zap.String("purpose", k.purpose.Name), zap.Stringer("id", key.ID), zap.Time("use_from", key.UseFrom))
	k.add(key)
	return key, nil
}

// add publishes the union of the known keys and more. The caller has the turn.
func (k *Keys) add(more ...*Key) {
	k.ring.Store(newRing(append(k.All(), more...)))
}
