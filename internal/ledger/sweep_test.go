package ledger

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

func mustSweep(t *testing.T, nodes ...*Ledger) {
	t.Helper()
	for _, l := range nodes {
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatalf("Sweep: %v", err)
		}
	}
}

func mustRedeem(t *testing.T, l *Ledger, hash [32]byte, exp time.Time) {
	t.Helper()
	if spent, err := l.Redeem(t.Context(), hash, exp); spent || err != nil {
		t.Fatalf("Redeem: %v, %v", spent, err)
	}
}

// Redemptions come all the time: no claim lives longer than twice what its token does, and none goes before its token.
func TestSweepKeepsUp(t *testing.T) {
	w := newWorld()
	a, b := w.node(), w.node()
	var ends []time.Time
	for i := range 120 {
		exp := w.Now().Add(tokenLife)
		mustRedeem(t, []*Ledger{a, b}[i%2], token(i), exp)
		ends = append(ends, exp)
		w.Advance(sweepInterval)
		mustSweep(t, a, b)
		alive, old := 0, 0
		for _, exp := range ends {
			if w.Now().Before(exp.Add(2 * skew)) {
				alive++
			}
			if w.Now().Before(exp.Add(tokenLife)) {
				old++
			}
		}
		if n := w.stored(spentArea); n < alive || n > old {
			t.Fatalf("minute %d: %d claims are stored; %d are needed and %d may be there", i, n, alive, old)
		}
	}
	if n := w.stored(spentArea); n > 16 {
		t.Errorf("%d claims remain", n)
	}
}

// When nobody redeems any more, what is left goes an hour later.
func TestSweepIdle(t *testing.T) {
	w := newWorld()
	l := w.node()
	mustRedeem(t, l, token(1), w.Now().Add(tokenLife))
	mustSweep(t, l)
	w.Advance(tokenLife + claimsSlack + time.Minute)
	mustSweep(t, l)
	if w.stored(spentArea) != 1 {
		t.Error("swept, though nothing but the clock says that it is time")
	}
	for range 65 {
		w.Advance(sweepInterval)
		mustSweep(t, l)
	}
	if w.stored(spentArea) != 0 {
		t.Error("not swept")
	}
}

// Security case 61: a node whose clock is an hour ahead does not make spent tokens good again, nor one whose clock is put.
func TestSweepClockSteps(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, -10 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour} {
		w := newWorld()
		good, bad := w.node(), w.node()
		exp := w.Now().Add(tokenLife)
		mustRedeem(t, good, token(1), exp)
		mustRedeem(t, bad, token(2), exp)
		mustSweep(t, good, bad)
		bad.now = w.Skewed(step)
		mustSweep(t, bad, newNode(w.faulty, bad.now))
		for i := 1; i <= 2; i++ {
			if spent, err := w.node().Redeem(t.Context(), token(i), exp); !spent || err != nil {
				t.Errorf("%v: token %d: %v, %v", step, i, spent, err)
			}
			for _, l := range []*Ledger{bad, newNode(w.faulty, bad.now)} {
				if spent, _ := l.Redeem(t.Context(), token(i), exp); !spent {
					t.Errorf("%v: token %d on the bad node: %v", step, i, spent)
				}
			}
		}
	}
}

// A clock that is put back after sweeping does not let through what the sweeping has forgotten.
func TestNothingSweptIsRedeemable(t *testing.T) {
	w := newWorld()
	l, exp := w.node(), w.Now().Add(tokenLife)
	mustRedeem(t, l, token(1), exp)
	mustSweep(t, l)
	w.Advance(2 * time.Hour)
	mustSweep(t, l)
	mustSweep(t, l)
	if w.stored(spentArea) != 0 {
		t.Fatal("not swept")
	}
	w.Advance(-2 * time.Hour)
	l.redeemed = newRecent()
	if spent, err := l.Redeem(t.Context(), token(1), exp); !spent || err == nil {
		t.Errorf("got %v, %v", spent, err)
	}
}

// What the last run of the nodes left over goes, a bounded piece a round.
func TestSweepLeftovers(t *testing.T) {
	w := newWorld()
	const leftovers = 2*maxSwept + 10
	for i := range leftovers {
		mustRedeem(t, w.node(), token(i), w.Now().Add(tokenLife))
		w.Advance(time.Minute)
	}
	w.Advance(24 * time.Hour)
	mustRedeem(t, w.node(), token(leftovers), w.Now().Add(tokenLife))
	l := w.node()
	for _, want := range []int{leftovers - maxSwept, leftovers - 2*maxSwept, 0, 0} {
		deleted := l.Calls()[OperationDelete].Total
		mustSweep(t, l)
		if n := w.stored(spentArea); n != want+1 {
			t.Errorf("%d claims remain, want %d", n, want+1)
		}
		if n := l.Calls()[OperationDelete].Total - deleted; n > maxSwept {
			t.Errorf("%d deletions in a round", n)
		}
	}
}

func TestSweepAfterFaults(t *testing.T) {
	w := newWorld()
	l := w.synced(t)
	mustSweep(t, l)
	for i := range 60 {
		mustRedeem(t, l, token(i), w.Now().Add(tokenLife))
		mustRevoke(t, l, OfSession(session(i)))
		w.Advance(sweepInterval)
		if i > 40 {
			w.faulty.Set(ledgertest.Failing(ledgertest.Delete))
			if err := l.Sweep(t.Context()); err == nil && i > 42 {
				t.Error("Sweep succeeds")
			}
			w.faulty.Set(ledgertest.Fault{})
			continue
		}
		mustSweep(t, l)
	}
	mustSweep(t, l)
	if n := w.stored(spentArea); n > 16 {
		t.Errorf("%d claims remain", n)
	}
}

func TestSweepRevocationsAndKeys(t *testing.T) {
	w := newWorld()
	l := w.synced(t)
	const buckets = maxSwept + 10
	for i := range buckets {
		mustRevoke(t, l, OfSession(session(i)))
		w.Advance(time.Minute)
	}
	first := current(t, l)
	w.Advance(longestSession - buckets*time.Minute)
	syncAll(t, l)
	mustSweep(t, l)
	if n := w.stored(revokedArea); n != buckets {
		t.Errorf("%d revocations remain after the longest session", n)
	}
	w.Advance(clockStep + buckets*time.Minute)
	syncAll(t, l)
	mustSweep(t, l)
	if n := w.stored(revokedArea); n == 0 || n > buckets {
		t.Errorf("%d revocations remain after one round", n)
	}
	mustSweep(t, l)
	if n := w.stored(revokedArea); n != 0 {
		t.Errorf("%d revocations remain after two rounds", n)
	}
	w.Advance(first.OpenUntil.Add(clockStep).Sub(w.Now()) - time.Second)
	mustSweep(t, l)
	if n := len(l.Keys(Sessions).All()); n != 2 {
		t.Errorf("%d keys before the end of the first", n)
	}
	w.Advance(time.Second)
	mustSweep(t, l)
	if n := len(l.Keys(Sessions).All()); n != 1 || w.stored(keysArea) != 1 {
		t.Errorf("%d keys and %d stored", n, w.stored(keysArea))
	}
}

func TestSweepLeavesOthersAlone(t *testing.T) {
	w := newWorld()
	others := []string{
		"certificates/example.com/example.com.crt",
		"bws/x/spent/1/x",
		rootOf([32]byte{}).path + "/spent/1/x",
		rootOf(serviceID).path + "/spent/README",
		rootOf(serviceID).path + "/other/1/x",
	}
	for _, key := range others {
		if err := w.memory.Store(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	l := w.synced(t)
	mustSweep(t, l)
	w.Advance(100 * 24 * time.Hour)
	syncAll(t, l)
	mustSweep(t, l)
	for _, key := range others {
		if !w.memory.Exists(t.Context(), key) {
			t.Errorf("%s is gone", key)
		}
	}
}

func TestSweepOnFiles(t *testing.T) {
	clock, dir := ledgertest.NewClock(), t.TempDir()
	storage := &certmagic.FileStorage{Path: dir}
	l := newNode(storage, clock.Now)
	mustRedeem(t, l, token(1), clock.Now().Add(tokenLife))
	mustSweep(t, l)
	clock.Advance(2 * time.Hour)
	mustSweep(t, l)
	mustSweep(t, l)
	keys, err := storage.List(t.Context(), rootOf(serviceID).path, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if strings.Contains(key, "/spent/") {
			t.Errorf("%s remains", key)
		}
	}
}

// shallow is a storage that deletes what a key names and nothing below, as some do.
type shallow struct{ *ledgertest.Memory }

func (s shallow) Delete(ctx context.Context, key string) error {
	below, err := s.List(ctx, key, false)
	if err == nil && len(below) > 0 {
		return nil
	}
	return s.Memory.Delete(ctx, key)
}

// Nothing is left on such a storage either, and sweeping what was left over comes to an end.
func TestSweepOnAShallowStorage(t *testing.T) {
	w := newWorld()
	l := newNode(shallow{w.memory}, w.Now)
	syncAll(t, l)
	for i := range 3 * maxSwept {
		mustRedeem(t, l, token(i), w.Now().Add(tokenLife))
		w.Advance(time.Minute)
	}
	mustRevoke(t, l, OfSession(session(1)))
	w.Advance(revocationLife + time.Hour)
	l = newNode(shallow{w.memory}, w.Now)
	for range 6 {
		w.Advance(readInterval)
		syncAll(t, l)
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if spent, revoked := w.stored(spentArea), w.stored(revokedArea); spent > 0 || revoked > 0 || !l.leftoversSwept {
		t.Errorf("%d claims and %d revocations are left; done: %v", spent, revoked, l.leftoversSwept)
	}
}

// That a bucket is gone already is no error, whatever a storage says. That something in it cannot be deleted is one.
func TestClear(t *testing.T) {
	for name, test := range map[string]struct {
		refuse func(key string) error // what deleting a key says
		failed bool
		left   int
	}{
		"all goes":         {func(string) error { return nil }, false, 0},
		"it is not there":  {func(string) error { return fs.ErrNotExist }, false, 1},
		"it cannot delete": {func(string) error { return ledgertest.ErrFault }, true, 1},
		"it deletes only what a key names": {func(key string) error {
			if strings.HasSuffix(key, "/1") {
				return fs.ErrNotExist
			}
			return nil
		}, false, 0},
		"it cannot delete what is in there": {func(key string) error {
			if strings.HasSuffix(key, "/1") {
				return fs.ErrNotExist
			}
			return ledgertest.ErrFault
		}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			l := w.node()
			bucket := l.root.child(spentArea).child("1")
			if err := l.store.store(t.Context(), bucket.child("a").child("b"), []byte("x")); err != nil {
				t.Fatal(err)
			}
			w.faulty.Set(ledgertest.Fault{Before: func(_ context.Context, operation ledgertest.Operation, key string) error {
				if operation == ledgertest.Delete {
					return test.refuse(key)
				}
				return nil
			}})
			if err := l.store.clear(t.Context(), bucket); (err != nil) != test.failed {
				t.Errorf("got %v", err)
			}
			if n := w.stored(spentArea); n != test.left {
				t.Errorf("%d are left", n)
			}
		})
	}
}

// A bucket of revocations that cannot be deleted is reported.
func TestSweepFails(t *testing.T) {
	w := newWorld()
	l := w.synced(t)
	mustSweep(t, l)
	l.revocations.ended = []minute{1}
	w.faulty.Set(ledgertest.Failing(ledgertest.Delete))
	if err := l.Sweep(t.Context()); err == nil {
		t.Error("no error")
	}
}
