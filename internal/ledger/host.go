package ledger

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// Host is what a configuration lends to a ledger that outlives it.
type Host struct {
	// Storage is shared by all nodes.
	Storage certmagic.Storage
	// Logger gets the faults of the storage.
	Logger *zap.Logger
}

// hosts are those that a ledger is attached to, of which the latest counts.
type hosts struct {
	mu       sync.Mutex
	attached []*Host
	latest   atomic.Pointer[Host]
}

func newHosts(first Host) *hosts {
	if first.Logger == nil {
		first.Logger = zap.NewNop()
	}
	h := &hosts{attached: []*Host{&first}}
	h.latest.Store(&first)
	return h
}

func (h *hosts) storage() certmagic.Storage { return h.latest.Load().Storage }
func (h *hosts) logger() *zap.Logger        { return h.latest.Load().Logger }

// Attach makes the ledger use the storage and the logger of a configuration until it is detached. The ledger always uses those of
// the configuration attached last.
func (l *Ledger) Attach(h Host) (detach func()) {
	hosts, added := l.hosts, &h
	hosts.mu.Lock()
	defer hosts.mu.Unlock()
	hosts.attached = append(hosts.attached, added)
	hosts.latest.Store(added)
	return func() {
		hosts.mu.Lock()
		defer hosts.mu.Unlock()
		hosts.attached = slices.DeleteFunc(hosts.attached, func(other *Host) bool { return other == added })
		hosts.latest.Store(hosts.attached[len(hosts.attached)-1])
	}
}
