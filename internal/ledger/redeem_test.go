package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

func TestRedeem(t *testing.T) {
	w := newWorld()
	a, b := w.node(), w.node()
	exp := w.Now().Add(tokenLife)
	for i, step := range []struct {
		node  *Ledger
		token int
		want  bool
		calls int
	}{
		{a, 1, false, 2},
		{a, 1, true, 0}, // remembered
		{b, 1, true, 2},
		{b, 2, false, 2},
		{a, 2, true, 2},
		{w.node(), 1, true, 2}, // security case 55: a node that was restarted
	} {
		before := w.faulty.Calls()
		spent, err := step.node.Redeem(t.Context(), token(step.token), exp)
		if err != nil || spent != step.want {
			t.Errorf("step %d: spent %v, %v", i, spent, err)
		}
		if calls := w.faulty.Calls() - before; calls != step.calls {
			t.Errorf("step %d: %d calls", i, calls)
		}
	}
	for _, key := range w.memory.Keys() {
		if data, err := w.memory.Load(t.Context(), key); err != nil || !strings.HasPrefix(string(data), `{"v":1,"end":`) {
			t.Errorf("%s holds %s, %v", key, data, err)
		}
	}
	if n := w.memory.Locked(); n > 0 {
		t.Errorf("%d locks are held", n)
	}
}

func TestRedeemBounds(t *testing.T) {
	for name, test := range map[string]struct {
		left time.Duration
		want error
	}{
		"about to end":   {time.Second, nil},
		"within skew":    {-skew + time.Second, nil},
		"ended":          {-skew, errSwept},
		"without end":    {-1 << 62, errSwept},
		"a day":          {maxAhead, nil},
		"more than that": {maxAhead + time.Second, errTooFar},
	} {
		w := newWorld()
		spent, err := w.node().Redeem(t.Context(), token(1), w.Now().Add(test.left))
		if test.want == nil && (spent || err != nil) {
			t.Errorf("%s: %v, %v", name, spent, err)
		}
		if test.want != nil && (!spent || err == nil || !strings.HasSuffix(err.Error(), test.want.Error())) {
			t.Errorf("%s: %v, %v", name, spent, err)
		}
	}
}

// A redemption that is given up costs nothing before it begins, and is finished once it has.
func TestRedeemCanceled(t *testing.T) {
	w := newWorld()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if spent, err := w.node().Redeem(ctx, token(1), w.Now().Add(time.Minute)); !spent || err == nil || w.faulty.Calls() > 0 {
		t.Errorf("canceled before: %v, %v, %d calls", spent, err, w.faulty.Calls())
	}
	ctx, cancel = context.WithCancel(t.Context())
	w.faulty.Set(ledgertest.Fault{Before: func(context.Context, ledgertest.Operation, string) error {
		cancel()
		return nil
	}})
	if spent, err := w.node().Redeem(ctx, token(1), w.Now().Add(time.Minute)); spent || err != nil {
		t.Errorf("canceled meanwhile: %v, %v", spent, err)
	}
}

// Security case 107: whatever the storage does, a token is not redeemed twice, and what cannot be guaranteed is denied.
func TestRedeemFaults(t *testing.T) {
	stored := func(_ context.Context, operation ledgertest.Operation, _ string) error {
		if operation == ledgertest.Store {
			return ledgertest.ErrFault
		}
		return nil
	}
	listed := func(change func(prefix string, keys []string) []string) ledgertest.Fault {
		return ledgertest.Fault{Listed: change}
	}
	for name, test := range map[string]struct {
		fault         ledgertest.Fault
		spent, failed bool // under the fault
		here, there   bool // whether it is spent once the fault is gone, on this node and on another
	}{
		"none":               {ledgertest.Fault{}, false, false, true, true},
		"no locks":           {ledgertest.Fault{NoLocks: true}, false, false, true, true},
		"locks fail":         {ledgertest.Failing(ledgertest.Lock), false, false, true, true},
		"unlocking fails":    {ledgertest.Failing(ledgertest.Unlock), false, false, true, true},
		"lock held for ever": {ledgertest.LockHeld(), false, false, true, true}, // security case 121
		"slow":               {ledgertest.Slow(5 * time.Millisecond), false, false, true, true},
		"down":               {ledgertest.Failing(), true, true, false, false},
		"read-only":          {ledgertest.ReadOnly(), true, true, false, false},
		"stored, not told":   {ledgertest.Fault{After: stored}, true, true, true, true},
		"cannot list":        {ledgertest.Failing(ledgertest.List), true, true, true, true},
		"lists nothing":      {listed(func(string, []string) []string { return nil }), true, true, true, true},
		"lists other services": {listed(func(_ string, keys []string) []string {
			return []string{strings.Replace(keys[0], "bws/", "bws/0", 1)}
		}), true, true, true, true},
		"lists twice": {listed(func(_ string, keys []string) []string { return append(keys, keys...) }), false, false, true, true},
		"lists more than that": {listed(func(prefix string, keys []string) []string {
			return append(keys, "", "/", prefix, prefix+"/", prefix+"/12345", prefix+"/x/y", "certificates/x", prefix+"/"+strings.Repeat("0A", claimSize))
		}), false, false, true, true},
		"lists another claim": {listed(func(prefix string, keys []string) []string {
			return append(keys, prefix+"/"+strings.Repeat("0a", claimSize))
		}), true, false, true, true},
		"a claim is a directory": {listed(func(prefix string, keys []string) []string {
			return append(keys, prefix+"/"+strings.Repeat("0a", claimSize)+"/")
		}), true, false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			l, exp := w.node(), w.Now().Add(tokenLife)
			w.faulty.Set(test.fault)
			if spent, err := l.Redeem(t.Context(), token(1), exp); spent != test.spent || (err != nil) != test.failed {
				t.Errorf("under the fault: %v, %v", spent, err)
			}
			w.faulty.Set(ledgertest.Fault{})
			if name == "stored, not told" || test.here != test.there {
				l = w.node()
			}
			here, err := l.Redeem(t.Context(), token(1), exp)
			if here != test.here || err != nil {
				t.Errorf("on this node: %v, %v", here, err)
			}
			there, err := w.node().Redeem(t.Context(), token(1), exp)
			if want := test.there || !here; there != want || err != nil {
				t.Errorf("on another node: %v, %v", there, err)
			}
		})
	}
}

// What a storage that was wiped has forgotten, the node remembers.
func TestRedeemWiped(t *testing.T) {
	w := newWorld()
	l, exp := w.node(), w.Now().Add(tokenLife)
	if spent, err := l.Redeem(t.Context(), token(1), exp); spent || err != nil {
		t.Fatal(spent, err)
	}
	w.memory.Wipe()
	if spent, err := l.Redeem(t.Context(), token(1), exp); !spent || err != nil {
		t.Errorf("after it was wiped: %v, %v", spent, err)
	}
}

func TestRecentIsBounded(t *testing.T) {
	r := newRecent()
	for i := range 3 * generation {
		if !r.add(token(i)) {
			t.Fatalf("token %d is known", i)
		}
		if i > 0 && r.add(token(i-1)) {
			t.Fatalf("token %d is forgotten", i-1)
		}
	}
	if n := len(r.young) + len(r.old); n > 2*generation {
		t.Errorf("it remembers %d", n)
	}
}

// race redeems tokens on all nodes at once, each many times, and returns how often each was allowed.
func race(t *testing.T, nodes []*Ledger, tokens, times int, exp time.Time) []int {
	t.Helper()
	allowed := make([]atomic.Int32, tokens)
	attempts := make(chan int)
	var attempting sync.WaitGroup
	for i := range 32 {
		attempting.Go(func() {
			for n := range attempts {
				spent, err := nodes[(n+i)%len(nodes)].Redeem(t.Context(), token(n), exp)
				if err == nil && !spent {
					allowed[n].Add(1)
				}
			}
		})
	}
	for first := 0; first < tokens; first += 4 {
		group := make([]int, 0, 4*times)
		for i := range cap(group) {
			group = append(group, min(first+i%4, tokens-1))
		}
		rand.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		for _, i := range group {
			attempts <- i
		}
	}
	close(attempts)
	attempting.Wait()
	counts := make([]int, tokens)
	for i := range allowed {
		counts[i] = int(allowed[i].Load())
	}
	return counts
}

// Security case 54: the same tokens on all nodes at once.
func TestRedeemRace(t *testing.T) {
	for name, test := range map[string]struct {
		storage func(*testing.T) certmagic.Storage
		tokens  int
		always  bool // somebody is allowed
	}{
		"memory": {func(*testing.T) certmagic.Storage { return new(ledgertest.Memory) }, 500, true},
		"no locks": {func(*testing.T) certmagic.Storage {
			f := ledgertest.NewFaulty(new(ledgertest.Memory))
			f.Set(ledgertest.Fault{NoLocks: true})
			return f
		}, 500, false},
		"no locks, slow": {func(*testing.T) certmagic.Storage {
			f := ledgertest.NewFaulty(new(ledgertest.Memory))
			f.Set(ledgertest.Fault{NoLocks: true, Before: jitter})
			return f
		}, 50, false},
		"lock held for ever": {func(*testing.T) certmagic.Storage {
			f := ledgertest.NewFaulty(new(ledgertest.Memory))
			f.Set(ledgertest.LockHeld())
			return f
		}, 20, false},
		"failing now and then": {func(*testing.T) certmagic.Storage {
			f := ledgertest.NewFaulty(new(ledgertest.Memory))
			f.Set(ledgertest.Fault{NoLocks: true, Before: nowAndThen, After: nowAndThen})
			return f
		}, 500, false},
		"files": {func(t *testing.T) certmagic.Storage { return &certmagic.FileStorage{Path: t.TempDir()} }, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			clock, storage := ledgertest.NewClock(), test.storage(t)
			nodes := make([]*Ledger, 3)
			for i := range nodes {
				nodes[i] = newNode(storage, clock.Skewed(time.Duration(i)*20*time.Second))
				if test.always {
					nodes[i].lockWait = lockWait
				}
			}
			once := 0
			for i, n := range race(t, nodes, test.tokens, 30, clock.Now().Add(tokenLife)) {
				if n > 1 || n == 0 && test.always {
					t.Errorf("token %d was allowed %d times", i, n)
				}
				once += n
			}
			t.Logf("%d of %d tokens were allowed once", once, test.tokens)
		})
	}
}

func jitter(context.Context, ledgertest.Operation, string) error {
	time.Sleep(rand.N(3 * time.Millisecond))
	return nil
}

func nowAndThen(_ context.Context, operation ledgertest.Operation, key string) error {
	if rand.N(10) == 0 {
		return fmt.Errorf("%s %s: %w", operation, key, ledgertest.ErrFault)
	}
	return nil
}

// Looking claims nothing, and sees what any node has spent.
func TestSpent(t *testing.T) {
	w := newWorld()
	a, b := w.synced(t), w.synced(t)
	exp := w.Now().Add(tokenLife)
	look := func(l *Ledger) bool {
		t.Helper()
		spent, err := l.Spent(t.Context(), token(1), exp)
		if err != nil {
			t.Fatal(err)
		}
		return spent
	}
	if first, again := look(a), look(a); first || again {
		t.Error("spent by looking")
	}
	mustRedeem(t, a, token(1), exp)
	if !look(a) || !look(b) {
		t.Error("not spent")
	}
	w.faulty.Set(ledgertest.Failing())
	if spent, err := b.Spent(t.Context(), token(2), exp); !spent || err == nil {
		t.Errorf("got %v, %v from a storage that fails", spent, err)
	}
	if !look(a) {
		t.Error("the node that has redeemed the token needs the storage to know")
	}
	w.Advance(tokenLife + 2*skew)
	if spent, err := a.Spent(t.Context(), token(1), exp); !spent || err == nil {
		t.Errorf("got %v, %v for a token that has ended", spent, err)
	}
}
