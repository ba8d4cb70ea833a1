package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

// redisNodes are nodes with connections of their own to one Redis.
func redisNodes(t *testing.T, clock *ledgertest.Clock) (server *ledgertest.RedisServer, a, b *Ledger) {
	t.Helper()
	server = ledgertest.StartRedis(t)
	return server, newNode(server.Connect(), clock.Now), newNode(server.Connect(), clock.Now)
}

// What the ledger relies on: the contract of certmagic.Storage.
func TestRedisStorage(t *testing.T) {
	server := ledgertest.StartRedis(t)
	a, b := server.Connect(), server.Connect()
	ctx := t.Context()
	for key, value := range map[string]string{"x/y/1": "one", "x/y/2": "", "x/yy/3": "\x00three\xff", "x/4": "four", "z/5": "old"} {
		if err := a.Store(ctx, key, []byte(value)); err != nil {
			t.Fatalf("Store %s: %v", key, err)
		}
		if got, err := b.Load(ctx, key); err != nil || string(got) != value {
			t.Errorf("Load %s: %q, %v", key, got, err)
		}
		if info, err := b.Stat(ctx, key); err != nil || info.Key != key || info.Size != int64(len(value)) || !info.IsTerminal {
			t.Errorf("Stat %s: %+v, %v", key, info, err)
		}
	}
	if err := b.Store(ctx, "z/5", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Load(ctx, "z/5"); err != nil || string(got) != "new" {
		t.Errorf("Load what was overwritten: %q, %v", got, err)
	}
	if info, err := b.Stat(ctx, "x/y"); err != nil || info.Key != "x/y" || info.IsTerminal {
		t.Errorf("Stat a directory: %+v, %v", info, err)
	}

	lists := func(prefix string, recursive bool, want ...string) {
		t.Helper()
		got, err := b.List(ctx, prefix, recursive)
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("List %s, %v: %v, %v", prefix, recursive, got, err)
		}
	}
	missing := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			_, loaded := b.Load(ctx, key)
			_, seen := b.Stat(ctx, key)
			_, listed := b.List(ctx, key, true)
			for _, err := range []error{loaded, seen, listed} {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", key, err)
				}
			}
			if b.Exists(ctx, key) {
				t.Errorf("%s exists", key)
			}
		}
	}
	lists("x", false, "x/4", "x/y", "x/yy")
	lists("x", true, "x/4", "x/y/1", "x/y/2", "x/yy/3")
	lists("x/y", false, "x/y/1", "x/y/2")
	lists("x/y/1", true)
	missing("y", "x/5", "x/y/1/2", "x/yyy")
	if _, err := b.Load(ctx, "x/y"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load a directory: %v", err)
	}
	if !b.Exists(ctx, "x/y") || !b.Exists(ctx, "x/y/2") {
		t.Error("what was stored does not exist")
	}

	for _, key := range []string{"x/y", "x/y", "nothing", "z/5"} {
		if err := a.Delete(ctx, key); err != nil {
			t.Errorf("Delete %s: %v", key, err)
		}
	}
	missing("x/y", "x/y/1", "x/y/2", "z", "z/5")
	lists("x", true, "x/4", "x/yy/3")

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := a.Store(canceled, "late", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Store, canceled: %v", err)
	}
	missing("late")
}

// However often entries come and go at once, none is there and not listed.
func TestRedisStorageAtOnce(t *testing.T) {
	server := ledgertest.StartRedis(t)
	var working sync.WaitGroup
	for i := range 4 {
		storage := server.Connect()
		working.Go(func() {
			for n := range 100 {
				key := fmt.Sprintf("x/%d/%d", n%3, i)
				if err := storage.Store(t.Context(), key, nil); err != nil {
					t.Errorf("Store: %v", err)
				}
				keys, err := storage.List(t.Context(), "x", true)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("List: %v", err)
				}
				if storage.Exists(t.Context(), key) && !slices.Contains(keys, key) {
					t.Errorf("%s is not among %v", key, keys)
				}
				if i == 0 {
					_ = storage.Delete(t.Context(), fmt.Sprintf("x/%d", (n+1)%3))
				}
			}
		})
	}
	working.Wait()
}

func TestRedisLock(t *testing.T) {
	server := ledgertest.StartRedis(t)
	a, b := server.Connect(), server.Connect()
	mustLock := func(r *ledgertest.Redis) {
		t.Helper()
		if err := r.Lock(t.Context(), "x"); err != nil {
			t.Fatalf("Lock: %v", err)
		}
	}
	mustLock(a)
	for _, r := range []*ledgertest.Redis{a, b} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := r.Lock(ctx, "x"); err == nil {
			t.Error("locked twice")
		}
		cancel()
	}
	if err := b.Unlock(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unlocked by somebody else: %v", err)
	}
	if err := b.Lock(t.Context(), "y"); err != nil {
		t.Errorf("Lock another: %v", err)
	}
	if err := a.Unlock(t.Context(), "x"); err != nil {
		t.Errorf("Unlock: %v", err)
	}
	mustLock(b)
	if err := a.Unlock(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unlocked twice: %v", err)
	}
	if err := b.Unlock(t.Context(), "x"); err != nil {
		t.Errorf("Unlock: %v", err)
	}

	var (
		locking sync.WaitGroup
		holders atomic.Int32
	)
	for i := range 8 {
		locking.Go(func() {
			r := []*ledgertest.Redis{a, b}[i%2]
			for range 10 {
				if err := r.Lock(t.Context(), "x"); err != nil {
					t.Errorf("Lock: %v", err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold it", n)
				}
				holders.Add(-1)
				if err := r.Unlock(t.Context(), "x"); err != nil {
					t.Errorf("Unlock: %v", err)
				}
			}
		})
	}
	locking.Wait()
}

// Security case 54 on a real network storage, with its locks and without.
func TestRedisRedeemRace(t *testing.T) {
	for name, locks := range map[string]bool{"locks": true, "no locks": false} {
		t.Run(name, func(t *testing.T) {
			server, clock := ledgertest.StartRedis(t), ledgertest.NewClock()
			nodes := make([]*Ledger, 3)
			for i := range nodes {
				storage := ledgertest.NewFaulty(server.Connect())
				storage.Set(ledgertest.Fault{NoLocks: !locks})
				nodes[i] = newNode(storage, clock.Now)
				nodes[i].lockWait = time.Minute // a slow machine must not make it go on without
			}
			const tokens = 200
			once := 0
			for i, n := range race(t, nodes, tokens, 30, clock.Now().Add(tokenLife)) {
				if n > 1 || n == 0 && locks {
					t.Errorf("token %d was allowed %d times", i, n)
				}
				once += n
			}
			t.Logf("%d of %d tokens were allowed once", once, tokens)
		})
	}
}

func TestRedisRevoke(t *testing.T) {
	clock := ledgertest.NewClock()
	server, a, b := redisNodes(t, clock)
	syncAll(t, a, b)
	who := &Bearer{Session: session(1), NotBefore: clock.Now()}
	mustRevoke(t, a, OfSession(session(2)))
	clock.Advance(pollInterval)
	if syncAll(t, b); b.Revoked(who) {
		t.Error("another's revocation counts")
	}
	mustRevoke(t, a, OfSession(session(1)))
	clock.Advance(pollInterval)
	syncAll(t, b)
	c := newNode(server.Connect(), clock.Now)
	syncAll(t, c)
	if !a.Revoked(who) || !b.Revoked(who) || !c.Revoked(who) {
		t.Errorf("own node %v, other %v, new %v", a.Revoked(who), b.Revoked(who), c.Revoked(who))
	}
}

func TestRedisKeys(t *testing.T) {
	clock := ledgertest.NewClock()
	_, a, b := redisNodes(t, clock)
	syncAll(t, a, b)
	if first := current(t, a); *current(t, b) != *first {
		t.Errorf("sealing with %v and %v", first, current(t, b))
	}
	next, err := a.Keys(Sessions).Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustFind(t, b, next) // though b has not been synced
	clock.Advance(KeyPropagation)
	if *current(t, a) != *next || *current(t, b) != *next {
		t.Errorf("sealing with %v and %v", current(t, a), current(t, b))
	}
}

func TestRedisSweep(t *testing.T) {
	clock := ledgertest.NewClock()
	server, a, b := redisNodes(t, clock)
	storage, spent, exp := server.Connect(), rootOf(serviceID).child(spentArea).path, clock.Now().Add(tokenLife)
	for i := range 10 {
		mustRedeem(t, a, token(i), exp.Add(time.Duration(i)*time.Minute))
	}
	clock.Advance(tokenLife)
	mustSweep(t, a, b)
	if keys, err := storage.List(t.Context(), spent, true); err != nil || len(keys) != 10 {
		t.Errorf("%d claims before their end, %v", len(keys), err)
	}
	clock.Advance(2 * time.Hour)
	mustSweep(t, b, b, b) // a round goes through an hour
	if keys, err := storage.List(t.Context(), spent, true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v remain, %v", keys, err)
	}
	mustRedeem(t, a, token(10), clock.Now().Add(tokenLife))
}

// What a node knows serves without the server; what it cannot know is an error.
func TestRedisDown(t *testing.T) {
	clock := ledgertest.NewClock()
	server, a, b := redisNodes(t, clock)
	syncAll(t, a, b)
	key, who := current(t, a), &Bearer{Session: session(1), NotBefore: clock.Now()}
	mustRevoke(t, a, OfSession(session(1)))
	mustRedeem(t, a, token(1), clock.Now().Add(tokenLife))
	server.Stop()

	if spent, err := a.Redeem(t.Context(), token(1), clock.Now().Add(tokenLife)); !spent || err != nil {
		t.Errorf("redeeming what is spent: %v, %v", spent, err)
	}
	if spent, err := b.Redeem(t.Context(), token(2), clock.Now().Add(tokenLife)); !spent || err == nil {
		t.Errorf("redeeming what is not: %v, %v", spent, err)
	}
	if err := a.Revoke(t.Context(), OfSession(session(2))); err == nil {
		t.Error("Revoke succeeds")
	}
	if _, err := a.Keys(Sessions).Rotate(t.Context()); err == nil {
		t.Error("Rotate succeeds")
	}
	if !a.Revoked(who) {
		t.Error("a revocation is forgotten")
	}
	clock.Advance(keysInterval)
	for _, l := range []*Ledger{a, b} {
		if err := l.Sync(t.Context()); err == nil {
			t.Error("Sync succeeds")
		}
		if age, ok := l.StaleFor(clock.Now()); !ok || age != keysInterval {
			t.Errorf("stale for %v, %v", age, ok)
		}
		mustFind(t, l, key)
		if got := current(t, l); *got != *key {
			t.Errorf("sealing with %v", got)
		}
	}
}

// What a server that was flushed has forgotten, the node remembers.
func TestRedisFlushed(t *testing.T) {
	clock := ledgertest.NewClock()
	server, a, b := redisNodes(t, clock)
	syncAll(t, a, b)
	key, exp := current(t, a), clock.Now().Add(tokenLife)
	mustRedeem(t, a, token(1), exp)
	mustRevoke(t, a, OfSession(session(1)))
	if err := server.Connect().Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if spent, err := a.Redeem(t.Context(), token(1), exp); !spent || err != nil {
		t.Errorf("redeeming what is spent: %v, %v", spent, err)
	}
	clock.Advance(keysInterval)
	syncAll(t, a, b)
	if !a.Revoked(&Bearer{Session: session(1), NotBefore: clock.Now()}) {
		t.Error("a revocation is forgotten")
	}
	mustFind(t, a, key)
	mustFind(t, b, key)
	mustRedeem(t, b, token(2), exp)
	if spent, err := a.Redeem(t.Context(), token(2), exp); !spent || err != nil {
		t.Errorf("redeeming what another node has spent since: %v, %v", spent, err)
	}
}
