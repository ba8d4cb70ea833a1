package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

var serviceID = sha256.Sum256([]byte("https://bws.bioid.com/extension app"))

// world is a storage, and a clock by which all nodes live unless told otherwise.
type world struct {
	*ledgertest.Clock
	memory *ledgertest.Memory
	faulty *ledgertest.Faulty
}

func newWorld() *world {
	memory := new(ledgertest.Memory)
	return &world{Clock: ledgertest.NewClock(), memory: memory, faulty: ledgertest.NewFaulty(memory)}
}

func (w *world) node() *Ledger { return w.skewed(0) }

func (w *world) skewed(skew time.Duration) *Ledger { return newNode(w.faulty, w.Skewed(skew)) }

func newNode(storage certmagic.Storage, now func() time.Time) *Ledger {
	l := New(Config{Storage: storage, ServiceID: serviceID, Now: now, Purposes: []Purpose{Sessions}})
	l.lockWait = 50 * time.Millisecond
	return l
}

// synced is a node that has read everything.
func (w *world) synced(t testing.TB) *Ledger {
	t.Helper()
	l := w.node()
	syncAll(t, l)
	return l
}

func syncAll(t testing.TB, nodes ...*Ledger) {
	t.Helper()
	for _, l := range nodes {
		if err := l.Sync(t.Context()); err != nil {
			t.Fatalf("Sync: %v", err)
		}
	}
}

// stored returns how many files an area of the ledger has.
func (w *world) stored(area string) (n int) {
	for _, key := range w.memory.Keys() {
		if strings.HasPrefix(key, rootOf(serviceID).path+"/"+area+"/") {
			n++
		}
	}
	return n
}

// token is the hash of a token for tests.
func token(i int) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

// session is the id of the session that a token for tests begins.
func session(i int) [16]byte {
	hash := token(i)
	return [16]byte(hash[:])
}

// person is what stands for a person in tests.
func person(name string) [16]byte {
	hash := sha256.Sum256([]byte(name))
	return [16]byte(hash[:])
}
