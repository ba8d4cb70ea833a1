package ledger

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

func current(t *testing.T, l *Ledger) *Key {
	t.Helper()
	key, err := l.Keys(Sessions).Current()
	if err != nil {
		t.Fatalf("Current: %v", err)
	}
	return key
}

// mustFind looks for a key that another node seals with.
func mustFind(t *testing.T, l *Ledger, want *Key) {
	t.Helper()
	if got, err := l.Keys(Sessions).Find(t.Context(), want.ID); err != nil || *got != *want {
		t.Errorf("Find %v: %v, %v", want.ID, got, err)
	}
}

func TestFirstKey(t *testing.T) {
	w := newWorld()
	l := w.node()
	if _, err := l.Keys(Sessions).Current(); err != ErrNoKey {
		t.Errorf("before Sync: %v", err)
	}
	if n := w.faulty.Calls(); n > 0 {
		t.Errorf("%d calls before Sync", n)
	}
	syncAll(t, l)
	key := current(t, l)
	if key.UseFrom != w.Now() || key.OpenUntil != w.Now().Add(KeyRotation+longestSession+skew) || key.Secret() == [32]byte{} {
		t.Errorf("the first is %v, from %v to %v", key, key.UseFrom, key.OpenUntil)
	}
	other := w.synced(t)
	if *current(t, other) != *key || w.stored(keysArea) != 1 {
		t.Errorf("another node seals with %v of %d", current(t, other), w.stored(keysArea))
	}
}

func TestRotation(t *testing.T) {
	w := newWorld()
	a, b := w.synced(t), w.synced(t)
	first := current(t, a)
	w.Advance(KeyRotation - KeyPropagation - time.Second)
	syncAll(t, a, b)
	if w.stored(keysArea) != 1 {
		t.Fatal("rotated too early")
	}
	w.Advance(time.Second + keysInterval)
	syncAll(t, a, b)
	if w.stored(keysArea) != 2 || current(t, a) != first {
		t.Fatalf("%d keys, sealing with %v", w.stored(keysArea), current(t, a))
	}
	w.Advance(KeyPropagation - keysInterval)
	syncAll(t, a, b)
	if current(t, a) == first && *current(t, b) == *first {
		w.Advance(keysInterval)
	}
	second := current(t, a)
	if *second == *first || *current(t, b) != *second {
		t.Errorf("sealing with %v and %v", second, current(t, b))
	}
	mustFind(t, b, first)
	for range 40 {
		w.Advance(KeyRotation)
		syncAll(t, a, b)
		if err := errors.Join(a.Sweep(t.Context()), b.Sweep(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.stored(keysArea); n < 30 || n > 34 {
		t.Errorf("%d keys are stored in the end", n)
	}
	if got, err := a.Keys(Sessions).Find(t.Context(), first.ID); err != ErrNoKey {
		t.Errorf("the first still opens: %v, %v", got, err)
	}
}

func TestRotate(t *testing.T) {
	w := newWorld()
	a, b := w.synced(t), w.synced(t)
	first := current(t, a)
	next, err := a.Keys(Sessions).Rotate(t.Context())
	if err != nil || next.UseFrom != w.Now().Add(KeyPropagation) {
		t.Fatal(next, err)
	}
	if current(t, a) != first {
		t.Error("it is used at once")
	}
	w.Advance(KeyPropagation)
	if current(t, a) != next {
		t.Error("it is not used")
	}
	mustFind(t, b, next) // though b has not been synced
	if *current(t, b) != *next {
		t.Error("b does not use it")
	}
	for err == nil {
		_, err = a.Keys(Sessions).Rotate(t.Context())
	}
	if n := w.stored(keysArea); err != ErrTooManyKeys || n != maxAskedFor {
		t.Errorf("%v after %d", err, n)
	}
	for range 35 { // room is left to rotate
		w.Advance(KeyRotation)
		syncAll(t, a, b)
	}
	if age := w.Now().Sub(current(t, a).UseFrom); age > KeyRotation {
		t.Errorf("the newest key is %v old", age)
	}
}

// A node whose own key is not read yet by the other, and the other way round.
func TestTwoFirstKeys(t *testing.T) {
	w := newWorld()
	w.faulty.Set(ledgertest.Fault{Listed: func(string, []string) []string { return nil }}) // neither sees the other's
	a, b := w.synced(t), w.synced(t)
	w.faulty.Set(ledgertest.Fault{})
	mustFind(t, a, current(t, b))
	mustFind(t, b, current(t, a))
	w.Advance(keysInterval)
	syncAll(t, a, b)
	if *current(t, a) != *current(t, b) {
		t.Error("they do not agree in the end")
	}
}

// Whoever keeps what one node publishes for as long as it may knows every key that any node uses meanwhile, though a node has read
// the keys at the last moment only, and until the last thing that the key has made has ended.
func TestPublished(t *testing.T) {
	w := newWorld()
	purposes := []Purpose{Assertions}
	node := func() *Ledger {
		return New(Config{Storage: w.faulty, ServiceID: serviceID, Now: w.Now, Purposes: purposes})
	}
	a, b := node(), node()
	publishes := func(l *Ledger, key *Key) bool {
		return slices.ContainsFunc(l.Keys(Assertions).Published(t.Context()), func(known *Key) bool { return *known == *key })
	}
	if n := len(b.Keys(Assertions).Published(t.Context())); n != 0 {
		t.Errorf("%d keys before there are any", n)
	}
	syncAll(t, a)
	w.Advance(rereadInterval)
	first, err := a.Keys(Assertions).Current()
	if err != nil || !publishes(b, first) {
		t.Fatalf("b does not publish %v of a, %v", first, err)
	}
	w.Advance(KeyRotation)
	next, err := a.Keys(Assertions).Rotate(t.Context())
	if err != nil || !publishes(b, next) || !publishes(b, first) {
		t.Fatalf("b does not publish %v and %v, %v", next, first, err)
	}
	if until := next.UseFrom.Sub(w.Now()); until < KeyPublication {
		t.Errorf("the next key is used in %s", until)
	}
	w.Advance(first.UseFrom.Add(KeyRotation + Assertions.Lifetime + skew - time.Nanosecond).Sub(w.Now()))
	if !publishes(a, first) || !publishes(b, first) {
		t.Error("a key is not published though what it has made may be good")
	}
	w.Advance(time.Nanosecond)
	if publishes(a, first) || publishes(b, first) || !publishes(b, next) {
		t.Error("the keys that are published in the end are wrong")
	}
	before := w.faulty.Calls()
	for range 50 {
		a.Keys(Assertions).Published(t.Context())
	}
	if n := w.faulty.Calls() - before; n > 1 {
		t.Errorf("the storage was asked %d times at once", n)
	}
}

func TestUnknownKeyIsReadOnceASecond(t *testing.T) {
	w := newWorld()
	l := w.synced(t)
	w.faulty.Set(ledgertest.Slow(time.Millisecond))
	for range 3 {
		before := w.faulty.Calls()
		var asking sync.WaitGroup
		for i := range 50 {
			asking.Go(func() {
				if _, err := l.Keys(Sessions).Find(t.Context(), KeyID{byte(i)}); err != ErrNoKey {
					t.Errorf("Find: %v", err)
				}
			})
		}
		asking.Wait()
		if n := w.faulty.Calls() - before; n != 1 {
			t.Errorf("%d calls", n)
		}
		w.Advance(rereadInterval)
	}
}

// Whoever asks for an unknown key waits for the storage, but no longer than they want, nor than one call may take.
func TestUnknownKeyGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, release := newWorld(), make(chan struct{})
		defer close(release)
		l := w.synced(t)
		w.faulty.Set(ledgertest.Hung(release))
		start := time.Now()
		var asking sync.WaitGroup
		ask := func(patience, want time.Duration) {
			asking.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if _, err := l.Keys(Sessions).Find(ctx, KeyID{1}); err != ErrNoKey {
					t.Errorf("Find: %v", err)
				}
				if took := time.Since(start); took != want {
					t.Errorf("%v patience: it took %v", patience, took)
				}
			})
		}
		ask(time.Hour, callLimit)
		synctest.Wait()
		ask(time.Hour, callLimit)
		ask(time.Second, time.Second)
		asking.Wait()
	})
}

func TestKeysSurviveFaults(t *testing.T) {
	for name, fault := range map[string]ledgertest.Fault{
		"down":          ledgertest.Failing(),
		"cannot list":   ledgertest.Failing(ledgertest.List),
		"cannot load":   ledgertest.Failing(ledgertest.Load),
		"read-only":     ledgertest.ReadOnly(),
		"lists nothing": {Listed: func(string, []string) []string { return nil }},
		"wiped":         {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			l := w.synced(t)
			first := current(t, l)
			w.faulty.Set(fault)
			if name == "wiped" {
				w.memory.Wipe()
			}
			w.Advance(29 * 24 * time.Hour)
			_ = l.Sync(t.Context())
			current(t, l)
			mustFind(t, l, first)
			w.faulty.Set(ledgertest.Fault{})
			w.Advance(KeyPropagation + pollInterval)
			syncAll(t, l)
			w.Advance(KeyPropagation)
			if newest := current(t, l); *newest == *first {
				t.Error("it does not rotate afterwards")
			}
		})
	}
}

func TestNoKeys(t *testing.T) {
	for name, fault := range map[string]ledgertest.Fault{
		"down":        ledgertest.Failing(),
		"cannot list": ledgertest.Failing(ledgertest.List),
		"read-only":   ledgertest.ReadOnly(),
	} {
		w := newWorld()
		l := w.node()
		w.faulty.Set(fault)
		if err := l.Sync(t.Context()); err == nil {
			t.Errorf("%s: Sync succeeds", name)
		}
		if _, err := l.Keys(Sessions).Current(); err != ErrNoKey {
			t.Errorf("%s: %v", name, err)
		}
		w.faulty.Set(ledgertest.Fault{})
		syncAll(t, l) // at once, without waiting for the next time
		current(t, l)
	}
}

// Whatever lies among the keys is skipped, logged once and never taken for a key.
func TestKeysSkipOddEntries(t *testing.T) {
	w := newWorld()
	dir := rootOf(serviceID).path + "/keys/session/"
	for key, value := range map[string]string{
		dir + "0123456789abcdef":        "",
		dir + "0123456789abcde0":        `{"v":2}`,
		dir + "0123456789abcde1/nested": "x",
		dir + "README":                  "x",
		dir + "0123456789ABCDEF":        "x",
		dir + "12345":                   "x",
	} {
		if err := w.memory.Store(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	core, logs := observer.New(zap.DebugLevel)
	l := New(Config{Storage: w.faulty, ServiceID: serviceID, Now: w.Now, Logger: zap.New(core)})
	for range 3 {
		syncAll(t, l)
		w.Advance(keysInterval)
	}
	if n := len(l.Keys(Sessions).All()); n != 1 {
		t.Errorf("%d keys", n)
	}
	if n := logs.FilterMessage("some keys cannot be read").Len(); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// Security case 61. A clock that is put back or forward neither leaves the node without a key nor stops rotation.
func TestKeysClockSteps(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, time.Hour, -10 * 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		w := newWorld()
		good, bad := w.synced(t), w.skewed(step)
		syncAll(t, bad)
		current(t, bad)
		for range 3 {
			w.Advance(KeyRotation)
			syncAll(t, good, bad)
			w.Advance(KeyPropagation + keysInterval)
			syncAll(t, good, bad)
			if age := w.Now().Sub(current(t, good).UseFrom); age > KeyRotation {
				t.Errorf("%v: a good node's newest key is %v old", step, age)
			}
			mustFind(t, good, current(t, good))
			current(t, bad)
		}
	}
}

// A clock that is put back makes the only key lie in the future. It serves all the same, even if no other can be stored; and if
// one can, the other nodes know it as soon as they meet it.
func TestKeysClockPutBack(t *testing.T) {
	w := newWorld()
	good, bad := w.synced(t), w.synced(t)
	first := current(t, bad)
	bad.Keys(Sessions).now = w.Skewed(-time.Hour)
	w.faulty.Set(ledgertest.ReadOnly())
	if err := bad.Sync(t.Context()); err == nil {
		t.Error("no other key is due")
	}
	if current(t, bad) != first {
		t.Error("it does not serve")
	}
	w.faulty.Set(ledgertest.Fault{})
	syncAll(t, bad)
	mustFind(t, good, current(t, bad))
}

func TestKeysOnFiles(t *testing.T) {
	clock, storage := ledgertest.NewClock(), &certmagic.FileStorage{Path: t.TempDir()}
	a, b := newNode(storage, clock.Now), newNode(storage, clock.Now)
	var syncing sync.WaitGroup
	for _, l := range []*Ledger{a, b} {
		syncing.Go(func() { syncAll(t, l) })
	}
	syncing.Wait()
	mustFind(t, a, current(t, b))
	mustFind(t, b, current(t, a))
}

// Where there is no key, the next one is needed now.
func TestRotateWithoutKeys(t *testing.T) {
	w := newWorld()
	l := w.node()
	key, err := l.Keys(Sessions).Rotate(t.Context())
	if err != nil || !key.UseFrom.Equal(w.Now()) {
		t.Fatal(key, err)
	}
	if got := current(t, l); got != key {
		t.Errorf("%v is used", got)
	}
}

// Whoever wants to change the keys while somebody else does waits no longer than they want.
func TestChangingKeysGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		l := w.synced(t)
		keys := l.Keys(Sessions)
		w.Advance(KeyRotation + longestSession + skew + clockStep)
		if err := keys.turn.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(context.Context) error{
			"Rotate": func(ctx context.Context) error { _, err := keys.Rotate(ctx); return err },
			"sync":   keys.sync,
			"sweep":  keys.sweep,
		} {
			ctx, cancel := context.WithCancel(t.Context())
			gone := make(chan error)
			go func() { gone <- change(ctx) }()
			synctest.Wait()
			cancel()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		keys.turn.pass()
		if err := keys.sweep(t.Context()); err != nil || len(keys.All()) > 0 {
			t.Errorf("sweep: %v, left are %v", err, keys.All())
		}
	})
}

// A storage that is full of keys gets no more, not even one that is due.
func TestKeysAreBounded(t *testing.T) {
	w := newWorld()
	l := w.synced(t)
	keys := l.Keys(Sessions)
	for i := range maxKeys - 1 {
		key := &Key{ID: KeyID{1, byte(i)}, UseFrom: w.Now(), OpenUntil: w.Now().Add(time.Hour), secret: token(i)}
		data, err := encodeKey(key)
		if err == nil {
			err = w.memory.Store(t.Context(), keys.dir.child(key.ID.String()).path, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.Advance(keysInterval)
	syncAll(t, l)
	if n := len(keys.All()); n != maxKeys {
		t.Fatalf("%d keys", n)
	}
	w.Advance(KeyRotation)
	if err := l.Sync(t.Context()); !errors.Is(err, ErrTooManyKeys) {
		t.Errorf("Sync: %v", err)
	}
	if _, err := keys.Rotate(t.Context()); !errors.Is(err, ErrTooManyKeys) {
		t.Errorf("Rotate: %v", err)
	}
}
