package ledger

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

// heedless is a storage that stores though nobody waits for it any more, as a file system does.
type heedless struct{ certmagic.Storage }

func (h heedless) Store(ctx context.Context, key string, value []byte) error {
	return h.Storage.Store(context.WithoutCancel(ctx), key, value)
}

// A key whose store fails, and that arrives after the time from which it is used, has had no time to get about. It is sealed with as soon
// as its node finds it, which costs each other node one look at the storage, however many there are.
func TestKeysThatArriveLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, release := newWorld(), make(chan struct{})
		w.faulty = ledgertest.NewFaulty(heedless{w.memory})
		a, b := w.synced(t), w.synced(t)
		first := current(t, a)
		w.Advance(KeyRotation - KeyPropagation)
		w.faulty.Set(ledgertest.Hung(release, ledgertest.Store))
		const late = 3
		for range late {
			if err := a.Sync(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("storing a key that hangs: %v", err)
			}
			w.Advance(pollInterval)
		}
		w.Advance(KeyPropagation)
		if current(t, a) != first {
			t.Error("a key is used that is not stored")
		}
		w.faulty.Set(ledgertest.Fault{})
		close(release)
		synctest.Wait()
		if n := w.stored(keysArea); n != 1+late {
			t.Fatalf("%d keys are stored", n)
		}
		syncAll(t, a)
		next := current(t, a)
		if next == first || next.UseFrom.After(w.Now()) {
			t.Errorf("sealing with %v", next)
		}
		before := w.faulty.Calls()
		for _, key := range a.Keys(Sessions).All() {
			mustFind(t, b, key)
		}
		if n := w.faulty.Calls() - before; n != 1+late {
			t.Errorf("finding the keys took %d calls, want one to list them and one for each", n)
		}
		if *current(t, b) != *next {
			t.Error("the nodes do not agree")
		}
	})
}

// A storage that takes nothing for hours, and then all at once, is not filled with keys: there would be no room for more.
func TestKeysThatArriveTogether(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *world) *Ledger{
		"the first": func(_ *testing.T, w *world) *Ledger { return w.node() },
		"the next": func(t *testing.T, w *world) *Ledger {
			l := w.synced(t)
			w.Advance(KeyRotation)
			return l
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, release := newWorld(), make(chan struct{})
				w.faulty = ledgertest.NewFaulty(heedless{w.memory})
				l := prepare(t, w)
				before := w.stored(keysArea)
				w.faulty.Set(ledgertest.Hung(release, ledgertest.Store))
				for range 2 * maxKeys {
					if err := l.Sync(t.Context()); err == nil {
						t.Fatal("it is not told that no key is stored")
					}
					w.Advance(pollInterval)
				}
				if _, err := l.Keys(Sessions).Rotate(t.Context()); !errors.Is(err, errStoringKeys) {
					t.Errorf("Rotate: %v", err)
				}
				w.faulty.Set(ledgertest.Fault{})
				close(release)
				synctest.Wait()
				if n := w.stored(keysArea) - before; n == 0 || n > maxStoring {
					t.Errorf("%d keys have arrived", n)
				}
				for range 2 {
					w.Advance(KeyRotation)
					syncAll(t, l)
				}
			})
		})
	}
}
