package ledger

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

func bearer(w *world) *Bearer {
	return &Bearer{Session: [16]byte{1, 2, 3}, Person: person("bioid/9876/12345"), NotBefore: w.Now()}
}

func mustRevoke(t *testing.T, l *Ledger, s Subject) {
	t.Helper()
	if err := l.Revoke(t.Context(), s); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
}

func TestRevoke(t *testing.T) {
	others := &Bearer{Session: [16]byte{1, 2, 4}, Person: person("bioid/9876/1234"), NotBefore: time.Unix(0, 0)}
	for name, test := range map[string]struct {
		subject func(*Bearer) Subject
		later   bool // whether it concerns tokens that are issued later, too
		all     bool // whether it concerns others
	}{
		"session": {func(b *Bearer) Subject { return OfSession(b.Session) }, true, false},
		"person":  {func(b *Bearer) Subject { return OfPerson(b.Person) }, false, false},
		"service": {func(*Bearer) Subject { return OfService() }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			a, b, who := w.synced(t), w.synced(t), bearer(w)
			if a.Revoked(who) {
				t.Fatal("revoked before")
			}
			w.Advance(10 * time.Second)
			mustRevoke(t, a, test.subject(who))
			if !a.Revoked(who) {
				t.Error("not revoked on the own node")
			}
			w.Advance(pollInterval)
			syncAll(t, b)
			for node, l := range map[string]*Ledger{"own": a, "other": b, "new": w.synced(t)} {
				later := *who
				later.NotBefore = who.NotBefore.Add(11 * time.Second)
				justBefore := *who
				justBefore.NotBefore = who.NotBefore.Add(10 * time.Second)
				if !l.Revoked(who) || !l.Revoked(&justBefore) || l.Revoked(&later) != test.later || l.Revoked(others) != test.all {
					t.Errorf("%s node: %v, just before %v, later %v, others %v",
						node, l.Revoked(who), l.Revoked(&justBefore), l.Revoked(&later), l.Revoked(others))
				}
				if l.Revoked(&Bearer{NotBefore: later.NotBefore}) {
					t.Errorf("%s node: nobody is revoked", node)
				}
			}
			w.Advance(revocationLife + time.Minute)
			syncAll(t, a)
			if ended := len(a.revocations.table.Load().settled) + len(a.revocations.table.Load().recent); ended > 0 {
				t.Errorf("%d revocations remain in memory", ended)
			}
		})
	}
}

func TestRevokeNothing(t *testing.T) {
	w := newWorld()
	for _, s := range []Subject{{}, OfPerson([16]byte{})} {
		if err := w.node().Revoke(t.Context(), s); err != errNoSubject {
			t.Errorf("got %v", err)
		}
	}
}

// The last of several revocations of a person counts, also for nodes that have read the first.
func TestRevokeAgain(t *testing.T) {
	w := newWorld()
	a, b, who := w.synced(t), w.synced(t), bearer(w)
	for range 5 {
		mustRevoke(t, a, OfPerson(who.Person))
		syncAll(t, b)
		if !b.Revoked(who) {
			t.Fatalf("not revoked at %v", w.Now())
		}
		w.Advance(7 * time.Second)
		who.NotBefore = w.Now()
		if a.Revoked(who) || b.Revoked(who) {
			t.Fatalf("revoked at %v", w.Now())
		}
	}
}

func TestRevocationThatIsNotStored(t *testing.T) {
	w := newWorld()
	a, who := w.synced(t), bearer(w)
	for _, fault := range []ledgertest.Fault{ledgertest.Failing(), ledgertest.ReadOnly()} {
		w.faulty.Set(fault)
		if err := a.Revoke(t.Context(), OfSession(who.Session)); err == nil {
			t.Error("no error")
		}
	}
	if !a.Revoked(who) {
		t.Error("not revoked on this node")
	}
}

func TestStaleFor(t *testing.T) {
	w := newWorld()
	l := w.node()
	w.faulty.Set(ledgertest.Failing(ledgertest.List))
	_ = l.Sync(t.Context())
	if age, ok := l.StaleFor(w.Now()); ok {
		t.Errorf("never read: %v", age)
	}
	want := func(want time.Duration) {
		t.Helper()
		if age, ok := l.StaleFor(w.Now()); !ok || age != want {
			t.Errorf("got %v, %v; want %v", age, ok, want)
		}
	}
	w.faulty.Set(ledgertest.Fault{})
	syncAll(t, l)
	want(0)
	w.Advance(pollInterval)
	want(pollInterval)
	w.faulty.Set(ledgertest.Failing(ledgertest.List))
	if err := l.Sync(t.Context()); err == nil {
		t.Error("Sync succeeds")
	}
	want(pollInterval)
	w.Advance(time.Hour)
	_ = l.Sync(t.Context())
	want(time.Hour + pollInterval)
	w.faulty.Set(ledgertest.Fault{})
	syncAll(t, l)
	want(0)
	w.Advance(-time.Hour)
	want(0)
}

// The clocks of nodes differ, and a node may have missed some polls, or many.
func TestRevocationsArrive(t *testing.T) {
	for _, skewed := range []time.Duration{-skew, -30 * time.Second, 0, 30 * time.Second, skew} {
		for second := range 60 {
			w := newWorld()
			a, b, who := w.skewed(skewed), w.synced(t), bearer(w)
			w.Advance(time.Duration(second) * time.Second)
			mustRevoke(t, a, OfSession(who.Session))
			w.Advance(pollInterval)
			syncAll(t, b)
			if !b.Revoked(who) {
				t.Errorf("skew %v, second %d: not revoked", skewed, second)
			}
		}
	}
	for _, missed := range []time.Duration{time.Minute, 5 * time.Minute, readInterval - time.Second, readInterval, time.Hour, 25 * time.Hour} {
		w := newWorld()
		a, b, who := w.synced(t), w.synced(t), bearer(w)
		mustRevoke(t, a, OfSession(who.Session))
		w.Advance(missed)
		syncAll(t, b)
		if !b.Revoked(who) {
			t.Errorf("missed %v: not revoked", missed)
		}
	}
}

// Security case 61: a clock that is an hour off delays what its node revokes, by no more than the reading of all.
func TestRevocationsOfWrongClocks(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, time.Hour} {
		w := newWorld()
		a, b, who := w.skewed(step), w.synced(t), bearer(w)
		mustRevoke(t, a, OfSession(who.Session))
		for range readInterval / pollInterval {
			w.Advance(pollInterval)
			syncAll(t, b)
		}
		if !b.Revoked(who) {
			t.Errorf("%v: not revoked", step)
		}
	}
}

func TestPollingIsCheap(t *testing.T) {
	w := newWorld()
	l := w.synced(t)
	before := l.Calls()[OperationList].Total
	const polls = 11
	for range polls {
		w.Advance(pollInterval)
		syncAll(t, l)
	}
	if n := l.Calls()[OperationList].Total - before; n != polls*(pollBack+1+pollAhead) {
		t.Errorf("%d listings in %d polls", n, polls)
	}
}

func TestRevocationsSurviveFaults(t *testing.T) {
	w := newWorld()
	l, who := w.synced(t), bearer(w)
	mustRevoke(t, l, OfSession(who.Session))
	w.memory.Wipe()
	for range 10 {
		w.Advance(readInterval)
		syncAll(t, l)
		if !l.Revoked(who) {
			t.Fatal("a wiped storage has made the node forget")
		}
	}
}

func TestOddRevocationsAreSkipped(t *testing.T) {
	w := newWorld()
	area, m := rootOf(serviceID).path+"/revoked/", minuteOf(w.Now())
	good := revocationName(OfPerson(person("bioid/1/2")), w.Now().Unix())
	for _, key := range []string{
		area + good,
		area + m.String() + "/x/" + good,
		area + (m - 1).String() + "/" + good,
		area + "x/" + good,
		area + m.String() + "/" + strings.ToUpper(good),
		area + m.String() + "/0" + good,
		area + m.String() + "/" + good[2:],
		area + m.String() + "/" + good + ".tmp",
		area + m.String() + "/1234567890",
		area + m.String() + "/" + revocationName(Subject{}, w.Now().Unix()),
		area + m.String() + "/" + revocationName(Subject{kindService, 1}, w.Now().Unix()),
		area + m.String() + "/" + revocationName(Subject{kindService + 1}, w.Now().Unix()),
		strings.Replace(area, "bws/", "bws/0", 1) + m.String() + "/" + good,
	} {
		if err := w.memory.Store(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	l := w.synced(t)
	w.Advance(pollInterval)
	syncAll(t, l)
	if found := l.revocations.table.Load(); len(found.settled)+len(found.recent) > 0 || found.all > 0 {
		t.Errorf("found %+v", found)
	}
}

// asManyAsFit returns revocations of sessions at one second, of which not one more fits into memory.
func asManyAsFit(at int64) map[Subject]int64 {
	many := make(map[Subject]int64, maxRevocations)
	for i := range uint32(maxRevocations) {
		many[OfSession([16]byte(binary.BigEndian.AppendUint32(make([]byte, 12), i)))] = at
	}
	return many
}

func TestTableIsBounded(t *testing.T) {
	full, err := new(table).with(asManyAsFit(1000))
	if err != nil {
		t.Fatal(err)
	}
	full = full.settle(0)
	one := map[Subject]int64{OfPerson(person("bioid/1/2")): 1000}
	if _, err := full.with(one); err != errTooManyRevocations {
		t.Errorf("one more: %v", err)
	}
	next, err := full.with(map[Subject]int64{OfService(): 2000})
	if err != nil {
		t.Fatalf("everything: %v", err)
	}
	if !next.revoked(&Bearer{Session: [16]byte{15: 1}, NotBefore: time.Unix(900, 0)}) {
		t.Error("not revoked")
	}
	if n := len(next.settle(0).settled); n != 0 {
		t.Errorf("%d remain that do not matter", n)
	}
}

func TestRevocationsOnFiles(t *testing.T) {
	w := newWorld()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	a, b, who := newNode(storage, w.Now), newNode(storage, w.Now), bearer(w)
	syncAll(t, a, b)
	mustRevoke(t, a, OfSession(who.Session))
	w.Advance(pollInterval)
	c := newNode(storage, w.Now)
	syncAll(t, b, c)
	if !b.Revoked(who) || !c.Revoked(who) {
		t.Error("not revoked")
	}
}

// On a file system, entries come into being by renaming: that must not keep a node from reading what another one writes.
func TestRevocationsInAStorm(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	a, b := newNode(storage, time.Now), newNode(storage, time.Now)
	syncAll(t, a, b)
	const writers, each = 8, 200
	var storm sync.WaitGroup
	for w := range writers {
		storm.Go(func() {
			for i := range each {
				if err := a.Revoke(t.Context(), OfSession(session(w*each+i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { storm.Wait(); close(done) }()
	for polls := 0; ; polls++ {
		if err := b.Sync(t.Context()); err != nil {
			t.Errorf("poll %d: %v", polls, err)
		}
		select {
		case <-done:
			syncAll(t, b)
			for i := range writers * each {
				if !b.Revoked(&Bearer{Session: session(i), NotBefore: time.Now()}) {
					t.Fatalf("revocation %d is not known on the other node", i)
				}
			}
			return
		default:
		}
	}
}

// Whoever makes one revocation too many is told so, and nothing is stored that no node would know of.
func TestOneRevocationTooMany(t *testing.T) {
	w := newWorld()
	l := w.synced(t)
	l.revocations.table.Store(&table{settled: asManyAsFit(w.Now().Unix())})
	if err := l.Revoke(t.Context(), OfPerson(person("bioid/1/2"))); err != errTooManyRevocations || w.stored(revokedArea) > 0 {
		t.Errorf("got %v, %d are stored", err, w.stored(revokedArea))
	}
	if err := l.Revoke(t.Context(), OfService()); err != nil || !l.Revoked(bearer(w)) {
		t.Errorf("everything: %v", err)
	}
}
