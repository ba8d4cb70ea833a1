package ledger

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

func TestStartAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := new(ledgertest.Memory)
		a := New(Config{Storage: memory, ServiceID: serviceID})
		b := New(Config{Storage: memory, ServiceID: serviceID})
		a.Start()
		synctest.Wait()
		b.Start()
		synctest.Wait()
		if *current(t, a) != *current(t, b) {
			t.Error("they seal with different keys")
		}
		who := &Bearer{Session: [16]byte{1}}
		mustRevoke(t, a, OfSession(who.Session))
		mustRedeem(t, a, token(1), time.Now().Add(tokenLife))
		time.Sleep(pollInterval)
		synctest.Wait()
		if !b.Revoked(who) {
			t.Error("not revoked on the other node")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for _, key := range memory.Keys() {
			if strings.Contains(key, "/spent/") {
				t.Errorf("%s remains", key)
			}
		}
		a.Stop()
		b.Stop()
		b.Stop()
	}) // it ends only if no goroutine remains
}

func TestStopInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := ledgertest.NewFaulty(new(ledgertest.Memory))
		release := make(chan struct{})
		faulty.Set(ledgertest.Hung(release))
		l := New(Config{Storage: faulty, ServiceID: serviceID})
		l.Start()
		synctest.Wait()
		start := time.Now()
		l.Stop()
		if took := time.Since(start); took > 0 {
			t.Errorf("Stop took %v", took)
		}
		close(release)
	})
}

func TestNewDoesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	faulty := ledgertest.NewFaulty(new(ledgertest.Memory))
	l := New(Config{Storage: faulty})
	l.Stop()
	if n := faulty.Calls(); n > 0 || runtime.NumGoroutine() > before {
		t.Errorf("%d calls, %d goroutines more", n, runtime.NumGoroutine()-before)
	}
	if l.Keys(Purpose{Name: "other"}) != nil {
		t.Error("there are keys for a purpose that was not asked for")
	}
}

func TestFaultsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := ledgertest.NewFaulty(new(ledgertest.Memory))
		faulty.Set(ledgertest.Failing())
		core, logs := observer.New(zap.InfoLevel)
		l := New(Config{Storage: faulty, ServiceID: serviceID, Logger: zap.New(core)})
		l.Start()
		time.Sleep(10*time.Minute - time.Second)
		synctest.Wait()
		if n := logs.FilterMessage("the storage fails").Len(); n != 20 { // reading and sweeping, each once a minute
			t.Errorf("logged %d times in ten minutes", n)
		}
		faulty.Set(ledgertest.Fault{})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := logs.FilterMessage("the storage works again").Len(); n != 2 {
			t.Errorf("logged %d times that it works again", n)
		}
		if age, ok := l.StaleFor(time.Now()); !ok || age > pollInterval {
			t.Errorf("stale for %v, %v", age, ok)
		}
		l.Stop()
	})
}

// Neither errors nor the log name a secret.
func TestNoSecretIsLogged(t *testing.T) {
	w := newWorld()
	core, logs := observer.New(zap.DebugLevel)
	l := New(Config{Storage: w.faulty, ServiceID: serviceID, Now: w.Now, Logger: zap.New(core)})
	syncAll(t, l)
	key, err := l.Keys(Sessions).Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, _ := encodeKey(key)
	if err := w.memory.Store(t.Context(), l.Keys(Sessions).dir.child("0123456789abcdef").path, append(data, '!')); err != nil {
		t.Fatal(err)
	}
	w.Advance(keysInterval)
	syncAll(t, l)
	secret := string(data[bytes.Index(data, []byte(`"key":"`))+7:][:20])
	for _, entry := range logs.All() {
		if line := entry.Message; strings.Contains(line, secret) {
			t.Errorf("logged %s", line)
		}
		for name, value := range entry.ContextMap() {
			if s, _ := value.(string); strings.Contains(s, secret) {
				t.Errorf("logged %s", name)
			}
		}
	}
}

// A ledger outlives the configuration that it began with.
func TestAttach(t *testing.T) {
	w := newWorld()
	l := newNode(nil, w.Now)
	if err := l.Sync(t.Context()); !errors.Is(err, errNoStorage) {
		t.Fatalf("without a storage: %v", err)
	}
	other := new(ledgertest.Memory)
	detachOld := l.Attach(Host{Storage: w.memory, Logger: zap.NewNop()})
	syncAll(t, l)
	detachNew := l.Attach(Host{Storage: other, Logger: zap.NewNop()})
	mustRevoke(t, l, OfSession(session(1)))
	if n := len(other.Keys()); n != 1 {
		t.Errorf("%d entries are in the storage attached last, want 1", n)
	}
	detachNew()
	mustRevoke(t, l, OfSession(session(2)))
	if w.stored(revokedArea) != 1 {
		t.Error("the storage attached first is not used again")
	}
	detachOld()
	if err := l.Revoke(t.Context(), OfSession(session(3))); !errors.Is(err, errNoStorage) {
		t.Errorf("detached: %v", err)
	}
}

func TestReady(t *testing.T) {
	for name, storage := range map[string]func(release chan struct{}) ledgertest.Fault{
		"works": func(chan struct{}) ledgertest.Fault { return ledgertest.Fault{} },
		"fails": func(chan struct{}) ledgertest.Fault { return ledgertest.Failing() },
		"hangs": func(release chan struct{}) ledgertest.Fault { return ledgertest.Hung(release) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faulty, release := ledgertest.NewFaulty(new(ledgertest.Memory)), make(chan struct{})
				faulty.Set(storage(release))
				l := New(Config{Storage: faulty, ServiceID: serviceID})
				start := time.Now()
				l.Ready(t.Context())
				if took := time.Since(start); took != callLimit {
					t.Errorf("before the start it waits for %s, want %s", took, callLimit)
				}
				l.Start()
				l.Ready(t.Context())
				if _, read := l.StaleFor(time.Now()); read != (name == "works") {
					t.Errorf("read: %v", read)
				}
				start = time.Now()
				l.Ready(t.Context())
				if took := time.Since(start); took > 0 {
					t.Errorf("it waits again, for %s", took)
				}
				close(release)
				l.Stop()
			})
		})
	}
}
