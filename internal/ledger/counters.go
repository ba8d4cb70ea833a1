package ledger

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
)

// Operation is a kind of call of the storage, as metrics name it.
type Operation string

// The operations.
const (
	OperationLoad   Operation = "load"
	OperationStore  Operation = "store"
	OperationList   Operation = "list"
	OperationDelete Operation = "delete"
	OperationLock   Operation = "lock"
)

// Calls are how many calls of one operation have ended while somebody waited for them. That an entry does not exist is no error.
type Calls struct {
	Total, Errors uint64
}

// Counters count the calls of the storage, of one ledger or of several.
type Counters struct {
	loads, stores, lists, deletes, locks counter
}

// Calls returns what was counted so far. No number ever falls.
func (c *Counters) Calls() map[Operation]Calls {
	calls := make(map[Operation]Calls)
	for operation, c := range map[Operation]*counter{
		OperationLoad: &c.loads, OperationStore: &c.stores, OperationList: &c.lists,
		OperationDelete: &c.deletes, OperationLock: &c.locks,
	} {
		failed := c.failed.Load()
		calls[operation] = Calls{Total: c.done.Load() + failed, Errors: failed}
	}
	return calls
}

// counter counts the calls of one operation.
type counter struct{ done, failed atomic.Uint64 }

func (c *counter) count(err error) {
	switch {
	case errors.Is(err, context.Canceled): // nobody waited for it, which says nothing of the storage
	case err == nil, errors.Is(err, fs.ErrNotExist):
		c.done.Add(1)
	default:
		c.failed.Add(1)
	}
}
