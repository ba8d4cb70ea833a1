package ledger

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

const benchRevocations = 100_000

func manyRevocations(tb testing.TB) *table {
	tb.Helper()
	many := make(map[Subject]int64, benchRevocations)
	for i := range benchRevocations {
		if i%2 == 0 {
			many[OfSession(session(i))] = 1000
		} else {
			many[OfPerson(person(fmt.Sprintf("bioid/9876/%d", i)))] = 1000
		}
	}
	full, err := new(table).with(many)
	if err != nil {
		tb.Fatal(err)
	}
	full = full.settle(0)
	few := make(map[Subject]int64, maxRecent)
	for i := range maxRecent {
		few[OfSession(session(-1-i))] = 1000
	}
	if full, err = full.with(few); err != nil {
		tb.Fatal(err)
	}
	return full
}

func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func bytesPerRevocation(tb testing.TB) float64 {
	tb.Helper()
	before := heap()
	full := manyRevocations(tb)
	after := heap()
	runtime.KeepAlive(full)
	return float64(after-before) / benchRevocations
}

func TestRevocationsAreSmall(t *testing.T) {
	if got := bytesPerRevocation(t); got > 100 {
		t.Errorf("%.0f bytes each", got)
	}
}

func BenchmarkRevoked(b *testing.B) {
	l := newWorld().node()
	l.revocations.table.Store(manyRevocations(b))
	who := &Bearer{Session: [16]byte{9, 9}, Person: person("bioid/9876/12345"), NotBefore: time.Unix(2000, 0)}
	for name, who := range map[string]*Bearer{
		"session":        {Session: who.Session, NotBefore: who.NotBefore},
		"session,person": {Session: who.Session, Person: who.Person, NotBefore: who.NotBefore},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if l.Revoked(who) {
					b.Fatal("revoked")
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Revoked(who)
			}
		})
	})
	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
			b.ReportMetric(bytesPerRevocation(b), "B/revocation")
		}
	})
}

func BenchmarkRevoke(b *testing.B) {
	w := newWorld()
	l := w.node()
	l.revocations.table.Store(manyRevocations(b))
	i := 0
	for b.Loop() {
		if err := l.Revoke(b.Context(), OfSession(session(-10000-i))); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkReadAll is what a node does at its start.
func BenchmarkReadAll(b *testing.B) {
	w := newWorld()
	l := w.node()
	for i := range benchRevocations {
		entry := l.root.child(revokedArea).child(minuteOf(w.Now().Add(-time.Duration(i) * 20 * time.Second)).String())
		name := revocationName(OfSession(session(i)), w.Now().Add(-time.Duration(i)*20*time.Second).Unix())
		if err := w.memory.Store(b.Context(), entry.child(name).path, nil); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := w.node().revocations.sync(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRedeem(b *testing.B) {
	redeem := func(b *testing.B, l *Ledger, first int) {
		b.ReportAllocs()
		i, exp := first, l.now().Add(tokenLife)
		for b.Loop() {
			if spent, err := l.Redeem(b.Context(), token(i), exp); spent || err != nil {
				b.Fatal(spent, err)
			}
			i++
		}
	}
	for _, existing := range []int{0, 1_000_000} {
		b.Run(fmt.Sprintf("memory,%d", existing), func(b *testing.B) {
			w := newWorld()
			l := w.node()
			for i := range existing {
				hash := token(i)
				bucket := l.root.child(spentArea).child(minuteOf(w.Now().Add(time.Duration(i%15) * time.Minute)).String())
				name := bucket.child(fmt.Sprintf("%x", hash)).child(fmt.Sprintf("%x", hash[:claimSize]))
				if err := w.memory.Store(b.Context(), name.path, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			redeem(b, l, existing)
		})
	}
	b.Run("files", func(b *testing.B) {
		redeem(b, newNode(&certmagic.FileStorage{Path: b.TempDir()}, ledgertest.NewClock().Now), 0)
	})
}

func BenchmarkKeys(b *testing.B) {
	w := newWorld()
	l := w.synced(b)
	keys := l.Keys(Sessions)
	for range 30 {
		if _, err := keys.Rotate(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	w.Advance(KeyPropagation)
	first := keys.All()[30]
	b.Run("current", func(b *testing.B) {
		for b.Loop() {
			_, _ = keys.Current()
		}
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			_, _ = keys.Find(b.Context(), first.ID)
		}
	})
}
