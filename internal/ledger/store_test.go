package ledger

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

func TestStoreHoldsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		faulty := ledgertest.NewFaulty(new(ledgertest.Memory))
		faulty.Set(ledgertest.Hung(release))
		s, k := newStore(newHosts(Host{Storage: faulty}), new(Counters)), rootOf(serviceID).child("a").child("b")
		start := time.Now()
		if err := s.store(t.Context(), k, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("store: %v", err)
		}
		if took := time.Since(start); took != callLimit {
			t.Errorf("store took %v", took)
		}
		for range maxCalls - 1 {
			go func() { _, _ = s.load(t.Context(), k) }()
		}
		synctest.Wait()
		start = time.Now()
		if _, err := s.load(t.Context(), k); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one call more than may be under way: %v", err)
		}
		if took := time.Since(start); took != callLimit {
			t.Errorf("it took %v", took)
		}
	})
}

// A lock that is had too late would be held for good.
func TestLateLockIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, release := new(ledgertest.Memory), make(chan struct{})
		faulty := ledgertest.NewFaulty(memory)
		faulty.Set(ledgertest.Hung(release, ledgertest.Lock))
		unlock := newStore(newHosts(Host{Storage: faulty}), new(Counters)).lock(t.Context(), "name", lockWait)
		unlock()
		close(release)
		synctest.Wait()
		if n := memory.Locked(); n != 0 {
			t.Errorf("%d locks are held", n)
		}
	})
}

type panicking struct{ certmagic.Storage }

func (panicking) Store(context.Context, string, []byte) error { panic("secret") }

func TestStoreRecovers(t *testing.T) {
	s := newStore(newHosts(Host{Storage: panicking{}}), new(Counters))
	if err := s.store(t.Context(), rootOf(serviceID).child("a").child("b"), nil); err != errPanicked {
		t.Errorf("got %v", err)
	}
	if got := s.Calls()[OperationStore]; got != (Calls{Total: 1, Errors: 1}) {
		t.Errorf("counted %+v", got)
	}
}

func TestMissingIsNoError(t *testing.T) {
	for name, storage := range map[string]certmagic.Storage{
		"memory": new(ledgertest.Memory),
		"files":  &certmagic.FileStorage{Path: t.TempDir()},
	} {
		s, k := newStore(newHosts(Host{Storage: storage}), new(Counters)), rootOf(serviceID).child("a").child("b")
		if _, err := s.load(t.Context(), k); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: load: %v", name, err)
		}
		if keys, err := s.list(t.Context(), k, true, callLimit); err != nil || len(keys) > 0 {
			t.Errorf("%s: list: %v, %v", name, keys, err)
		}
		if err := s.deleteAll(t.Context(), k); err != nil {
			t.Errorf("%s: delete: %v", name, err)
		}
		for operation, calls := range s.Calls() {
			if calls.Errors > 0 {
				t.Errorf("%s: %s: %d errors", name, operation, calls.Errors)
			}
		}
	}
}

// A file system says that there is nothing to list when an entry vanishes meanwhile. What it has listed is not all.
func TestVanishingEntries(t *testing.T) {
	memory := new(ledgertest.Memory)
	faulty := ledgertest.NewFaulty(memory)
	s, bucket := newStore(newHosts(Host{Storage: faulty}), new(Counters)), rootOf(serviceID).child("a").child("b")
	if err := s.store(t.Context(), bucket.child("c"), nil); err != nil {
		t.Fatal(err)
	}
	vanish := func(times int) {
		faulty.Set(ledgertest.Fault{Before: func(_ context.Context, operation ledgertest.Operation, _ string) error {
			if times--; operation == ledgertest.List && times >= 0 {
				return fs.ErrNotExist
			}
			return nil
		}})
	}
	vanish(1)
	if keys, err := s.list(t.Context(), bucket, false, callLimit); err != nil || len(keys) != 1 {
		t.Errorf("once: %v, %v", keys, err)
	}
	vanish(100)
	if keys, err := s.list(t.Context(), bucket, false, callLimit); err != errVanishing {
		t.Errorf("always: %v, %v", keys, err)
	}
}
