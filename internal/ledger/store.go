package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

const (
	// callLimit is the time one call of the storage may take.
	callLimit = 2 * time.Second
	// bulkLimit is the same for a call that concerns a whole bucket or more.
	bulkLimit = time.Minute
	// maxCalls bounds the calls under way. A call that nobody waits for any longer counts until the storage returns from it.
	maxCalls = 1024
	// maxListings is how often a listing is tried while entries vanish from it.
	maxListings = 3
)

var (
	errNoStorage   = errors.New("there is no storage")
	errOddLocation = errors.New("not a place of the ledger")
	errPanicked    = errors.New("the storage panicked")
	errVanishing   = errors.New("entries vanish while they are listed")
)

// store bounds what a storage can do to its callers: each call has a deadline that holds even if the storage ignores it, and
// a panic is an error.
type store struct {
	*Counters
	hosts *hosts
	slots chan struct{}
}

func newStore(hosts *hosts, counters *Counters) *store {
	return &store{Counters: counters, hosts: hosts, slots: make(chan struct{}, maxCalls)}
}

// load returns the value of an entry, or fs.ErrNotExist.
func (s *store) load(ctx context.Context, at location) (value []byte, err error) {
	if !at.isEntry() {
		return nil, errOddLocation
	}
	return call(ctx, s, &s.loads, callLimit, nil, func(ctx context.Context, storage certmagic.Storage) ([]byte, error) {
		return storage.Load(ctx, at.path)
	})
}

func (s *store) store(ctx context.Context, at location, value []byte) error {
	return s.storeCounted(ctx, at, value, new(atomic.Int32))
}

// storeCounted also counts the calls that the storage has not returned from, those included that were given up.
func (s *store) storeCounted(ctx context.Context, at location, value []byte, underWay *atomic.Int32) error {
	if !at.isEntry() {
		return errOddLocation
	}
	_, err := call(ctx, s, &s.stores, callLimit, nil, func(ctx context.Context, storage certmagic.Storage) (struct{}, error) {
		underWay.Add(1)
		defer underWay.Add(-1)
		return struct{}{}, storage.Store(ctx, at.path, value)
	})
	return err
}

// deleteAll deletes an entry, or a bucket with all that is in it.
func (s *store) deleteAll(ctx context.Context, at location) error {
	if !at.isEntry() {
		return errOddLocation
	}
	_, err := call(ctx, s, &s.deletes, bulkLimit, nil, func(ctx context.Context, storage certmagic.Storage) (struct{}, error) {
		return struct{}{}, storage.Delete(ctx, at.path)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// clear deletes a bucket with all that is in it, also on a storage whose Delete keeps what lies below a key.
func (s *store) clear(ctx context.Context, bucket location) error {
	if err := s.deleteAll(ctx, bucket); err != nil {
		return err
	}
	left, err := s.list(ctx, bucket, true, bulkLimit)
	if err != nil || len(left) == 0 {
		return err
	}
	below := map[location]bool{bucket: true}
	for _, listed := range left {
		entry := bucket
		for _, segment := range bucket.relative(listed) {
			if entry = entry.child(segment); entry.isEntry() { // what is odd belongs to somebody else
				below[entry] = true
			}
		}
	}
	// What lies deepest comes first.
	for _, entry := range slices.SortedFunc(maps.Keys(below), func(a, b location) int { return strings.Compare(b.path, a.path) }) {
		if err := s.deleteAll(ctx, entry); err != nil {
			return err
		}
	}
	return nil
}

// list returns the keys in a bucket. A bucket that does not exist is empty. But storages say fs.ErrNotExist also when an entry
// vanishes while they list it, and a file system does so whenever another node is storing one: what they return then is incomplete.
// So if the bucket is there, it is listed again.
func (s *store) list(ctx context.Context, bucket location, recursive bool, limit time.Duration) ([]string, error) {
	if bucket.path == "" {
		return nil, errOddLocation
	}
	for range maxListings {
		keys, err := call(ctx, s, &s.lists, limit, nil, func(ctx context.Context, storage certmagic.Storage) ([]string, error) {
			return storage.List(ctx, bucket.path, recursive)
		})
		if !errors.Is(err, fs.ErrNotExist) {
			return keys, err
		}
		exists, err := call(ctx, s, &s.loads, callLimit, nil, func(ctx context.Context, storage certmagic.Storage) (bool, error) {
			return storage.Exists(ctx, bucket.path), nil
		})
		if err != nil || !exists {
			return nil, err
		}
	}
	return nil, errVanishing
}

// lock waits a limited time for a lock, and then goes on without it. The lock makes ties rare; nothing depends on it.
func (s *store) lock(ctx context.Context, name string, limit time.Duration) (unlock func()) {
	release := func() {
		_, _ = call(ctx, s, &s.locks, callLimit, nil, func(ctx context.Context, storage certmagic.Storage) (struct{}, error) {
			return struct{}{}, storage.Unlock(ctx, name)
		})
	}
	_, err := call(ctx, s, &s.locks, limit, release, func(ctx context.Context, storage certmagic.Storage) (struct{}, error) {
		return struct{}{}, storage.Lock(ctx, name)
	})
	if err != nil {
		return func() {}
	}
	return release
}

type answer[T any] struct {
	value T
	err   error
}

// call runs one call of the storage and counts it. After the limit it returns, whatever the storage does. If the storage then
// succeeds after all, undo, if there is one, takes that back.
func call[T any](ctx context.Context, s *store, c *counter, limit time.Duration, undo func(),
	do func(context.Context, certmagic.Storage) (T, error),
) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var a answer[T]
	select {
	case s.slots <- struct{}{}:
		answers, abandoned := make(chan answer[T]), make(chan struct{})
		go func() {
			a := guard(ctx, s.hosts.storage(), do)
			<-s.slots
			select {
			case answers <- a:
			case <-abandoned:
				if undo != nil && a.err == nil {
					undo()
				}
			}
		}()
		select {
		case a = <-answers:
		case <-ctx.Done():
			close(abandoned)
			a.err = ctx.Err()
		}
	case <-ctx.Done():
		a.err = fmt.Errorf("waiting for other calls: %w", ctx.Err())
	}
	c.count(a.err)
	return a.value, a.err
}

// guard runs do, and turns a panic into an error.
func guard[T any](ctx context.Context, storage certmagic.Storage,
	do func(context.Context, certmagic.Storage) (T, error),
) (a answer[T]) {
	if storage == nil {
		return answer[T]{err: errNoStorage}
	}
	defer func() {
		if recover() != nil {
			a = answer[T]{err: errPanicked}
		}
	}()
	a.value, a.err = do(ctx, storage)
	return a
}
