package ledger

import (
	"context"
	"maps"
	"testing"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

func TestCalls(t *testing.T) {
	w := newWorld()
	l := w.synced(t)
	w.faulty.Set(ledgertest.Failing(ledgertest.Store))
	_ = l.Revoke(t.Context(), OfService())
	calls := l.Calls()
	if got := calls[OperationStore]; got != (Calls{Total: 2, Errors: 1}) {
		t.Errorf("store: %+v", got)
	}
	if len(calls) != 5 || calls[OperationList].Total == 0 || calls[OperationList].Errors != 0 {
		t.Errorf("got %+v", calls)
	}
}

// Numbers never fall, and say what the storage did, not who left.
func TestCounters(t *testing.T) {
	counters, memory := new(Counters), new(ledgertest.Memory)
	faulty := ledgertest.NewFaulty(memory)
	k, release := rootOf(serviceID).child("a").child("b"), make(chan struct{})
	defer close(release)
	for range 2 { // ledgers may share them
		s := newStore(newHosts(Host{Storage: faulty}), counters)
		_ = s.store(t.Context(), k, nil)
		_, _ = s.load(t.Context(), k)
		_, _ = s.load(t.Context(), k.child("missing"))
		faulty.Set(ledgertest.Failing())
		_ = s.deleteAll(t.Context(), k)
		faulty.Set(ledgertest.Hung(release))
		gone, leave := context.WithCancel(t.Context())
		leave()
		_ = s.store(gone, k, nil)
		faulty.Set(ledgertest.Fault{})
	}
	want := map[Operation]Calls{
		OperationStore: {Total: 2}, OperationLoad: {Total: 4}, OperationDelete: {Total: 2, Errors: 2}, OperationList: {}, OperationLock: {},
	}
	if got := counters.Calls(); !maps.Equal(got, want) {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}
