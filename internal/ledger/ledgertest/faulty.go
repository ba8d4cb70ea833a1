package ledgertest

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

// Operation is a method of certmagic.Storage.
type Operation string

// The operations. Exists and Stat are Look.
const (
	Store  Operation = "store"
	Load   Operation = "load"
	List   Operation = "list"
	Delete Operation = "delete"
	Look   Operation = "look"
	Lock   Operation = "lock"
	Unlock Operation = "unlock"
)

// ErrFault is what a failing storage returns.
var ErrFault = errors.New("injected fault")

// Fault is a way to fail. The zero value does not.
type Fault struct {
	// Before comes before an operation; its error is returned in place of what the operation would.
	Before func(ctx context.Context, operation Operation, key string) error
	// After comes after an operation that succeeded; its error is returned though all has been done.
	After func(ctx context.Context, operation Operation, key string) error
	// Listed changes what is listed below a prefix.
	Listed func(prefix string, keys []string) []string
	// NoLocks lets everybody have every lock.
	NoLocks bool
}

// Faulty is a storage that fails as told. It counts operations.
type Faulty struct {
	storage certmagic.Storage
	fault   atomic.Pointer[Fault]
	calls   atomic.Int64
}

// NewFaulty wraps a storage, which does not fail yet.
func NewFaulty(storage certmagic.Storage) *Faulty {
	f := &Faulty{storage: storage}
	f.Set(Fault{})
	return f
}

// Set makes the storage fail in another way from now on.
func (f *Faulty) Set(fault Fault) { f.fault.Store(&fault) }

// Calls returns how many operations there were, but for locks.
func (f *Faulty) Calls() int { return int(f.calls.Load()) }

// Failing makes the given operations fail, all if none is given.
func Failing(operations ...Operation) Fault {
	return Fault{Before: func(_ context.Context, operation Operation, _ string) error {
		if len(operations) == 0 || slices.Contains(operations, operation) {
			return ErrFault
		}
		return nil
	}}
}

// ReadOnly is a storage that nothing can be written to.
func ReadOnly() Fault { return Failing(Store, Delete, Lock) }

// Slow makes every operation take longer, but not longer than its context.
func Slow(delay time.Duration) Fault {
	return Fault{Before: func(ctx context.Context, _ Operation, _ string) error {
		select {
		case <-time.After(delay):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

// Hung makes the given operations, all if none is given, wait until release is closed, whatever their contexts say.
func Hung(release <-chan struct{}, operations ...Operation) Fault {
	return Fault{Before: func(_ context.Context, operation Operation, _ string) error {
		if len(operations) == 0 || slices.Contains(operations, operation) {
			<-release
		}
		return nil
	}}
}

// LockHeld is a storage all of whose locks are held for ever.
func LockHeld() Fault {
	return Fault{Before: func(ctx context.Context, operation Operation, _ string) error {
		if operation != Lock {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}}
}

// run performs an operation with the faults around it.
func (f *Faulty) run(ctx context.Context, operation Operation, key string, do func(*Fault) error) error {
	if operation != Lock && operation != Unlock {
		f.calls.Add(1)
	}
	fault := f.fault.Load()
	if fault.Before != nil {
		if err := fault.Before(ctx, operation, key); err != nil {
			return err
		}
	}
	if err := do(fault); err != nil {
		return err
	}
	if fault.After != nil {
		return fault.After(ctx, operation, key)
	}
	return nil
}

// Store implements certmagic.Storage.
func (f *Faulty) Store(ctx context.Context, key string, value []byte) error {
	return f.run(ctx, Store, key, func(*Fault) error { return f.storage.Store(ctx, key, value) })
}

// Load implements certmagic.Storage.
func (f *Faulty) Load(ctx context.Context, key string) (value []byte, err error) {
	err = f.run(ctx, Load, key, func(*Fault) (err error) {
		value, err = f.storage.Load(ctx, key)
		return err
	})
	return value, err
}

// Delete implements certmagic.Storage.
func (f *Faulty) Delete(ctx context.Context, key string) error {
	return f.run(ctx, Delete, key, func(*Fault) error { return f.storage.Delete(ctx, key) })
}

// Exists implements certmagic.Storage.
func (f *Faulty) Exists(ctx context.Context, key string) bool {
	err := f.run(ctx, Look, key, func(*Fault) error {
		if !f.storage.Exists(ctx, key) {
			return fs.ErrNotExist
		}
		return nil
	})
	return !errors.Is(err, fs.ErrNotExist)
}

// List implements certmagic.Storage.
func (f *Faulty) List(ctx context.Context, prefix string, recursive bool) (keys []string, err error) {
	err = f.run(ctx, List, prefix, func(fault *Fault) (err error) {
		keys, err = f.storage.List(ctx, prefix, recursive)
		if fault.Listed != nil {
			keys = fault.Listed(prefix, keys)
		}
		return err
	})
	return keys, err
}

// Stat implements certmagic.Storage.
func (f *Faulty) Stat(ctx context.Context, key string) (info certmagic.KeyInfo, err error) {
	err = f.run(ctx, Look, key, func(*Fault) (err error) {
		info, err = f.storage.Stat(ctx, key)
		return err
	})
	return info, err
}

// Lock implements certmagic.Locker.
func (f *Faulty) Lock(ctx context.Context, name string) error {
	return f.run(ctx, Lock, name, func(fault *Fault) error {
		if fault.NoLocks {
			return nil
		}
		return f.storage.Lock(ctx, name)
	})
}

// Unlock implements certmagic.Locker.
func (f *Faulty) Unlock(ctx context.Context, name string) error {
	return f.run(ctx, Unlock, name, func(fault *Fault) error {
		if fault.NoLocks {
			return nil
		}
		return f.storage.Unlock(ctx, name)
	})
}

// Interface guard
var _ certmagic.Storage = (*Faulty)(nil)
