package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

// modelSteps are the steps of a redemption that concern the storage, with their labels in model/redeem.pml.
var modelSteps = map[ledgertest.Operation]string{
	ledgertest.Lock: "lock", ledgertest.Store: "claim", ledgertest.List: "look", ledgertest.Unlock: "unlock",
}

// crash is where a node stops: right after a step that it has taken, or right before one that it has not.
type crash struct {
	step  ledgertest.Operation // "" for a node that does not crash
	taken bool
}

// steppedNode is a node that takes each step of a redemption only when it is told to. Its storage lets everybody have the lock.
type steppedNode struct {
	*Ledger
	turn, taken chan struct{}
	steps       []string
	finished    chan struct{}
	allowed     bool
}

// newSteppedNode returns a node whose stepped operations wait for turn, and tell taken when they are done or the node has crashed.
func newSteppedNode(w *world, stepped []ledgertest.Operation, c crash) *steppedNode {
	n := &steppedNode{turn: make(chan struct{}), taken: make(chan struct{}), finished: make(chan struct{})}
	faulty := ledgertest.NewFaulty(w.memory)
	crashed := false
	// take is called before each operation and, if that returned no error, after it.
	take := func(operation ledgertest.Operation, before bool) error {
		if !slices.Contains(stepped, operation) {
			return nil
		}
		if before {
			<-n.turn
			n.steps = append(n.steps, modelSteps[operation])
		}
		crashed = crashed || operation == c.step && before != c.taken
		if before && !crashed {
			return nil
		}
		n.taken <- struct{}{}
		if crashed {
			return ledgertest.ErrFault
		}
		return nil
	}
	faulty.Set(ledgertest.Fault{
		NoLocks: true,
		Before:  func(_ context.Context, o ledgertest.Operation, _ string) error { return take(o, true) },
		After:   func(_ context.Context, o ledgertest.Operation, _ string) error { return take(o, false) },
	})
	n.Ledger = newNode(faulty, w.Now)
	n.lockWait = lockWait
	return n
}

func (n *steppedNode) redeem(t *testing.T, w *world) {
	defer close(n.finished)
	spent, err := n.Redeem(t.Context(), token(1), w.Now().Add(tokenLife))
	n.allowed = err == nil && !spent
}

// next has the node take its next step, unless it has come to an end.
func (n *steppedNode) next() {
	select {
	case n.turn <- struct{}{}:
		<-n.taken
	case <-n.finished:
	}
}

func (n *steppedNode) finish() {
	for {
		select {
		case <-n.finished:
			return
		default:
			n.next()
		}
	}
}

// schedules calls f with all orders in which nodes can take a number of steps each.
func schedules(nodes, steps int, f func(order []int)) {
	left, order := make([]int, nodes), make([]int, 0, nodes*steps)
	for i := range left {
		left[i] = steps
	}
	var extend func()
	extend = func() {
		if len(order) == nodes*steps {
			f(order)
			return
		}
		for i := range left {
			if left[i] > 0 {
				left[i], order = left[i]-1, append(order, i)
				extend()
				left[i], order = left[i]+1, order[:len(order)-1]
			}
		}
	}
	extend()
}

// Two and three nodes go through all orders of the steps that the model has, with a crash at each of them. In whatever order they
// come, the token is redeemed at most once, also by a node that is started anew in the end.
func TestRedeemSchedules(t *testing.T) {
	all := []ledgertest.Operation{ledgertest.Lock, ledgertest.Store, ledgertest.List, ledgertest.Unlock}
	for _, test := range []struct {
		nodes   int
		stepped []ledgertest.Operation
	}{
		{2, all},
		{3, []ledgertest.Operation{ledgertest.Store, ledgertest.List}},
	} {
		crashes := []crash{{}}
		for _, step := range test.stepped {
			crashes = append(crashes, crash{step, false}, crash{step, true})
		}
		for _, c := range crashes {
			runs, once := 0, 0
			schedules(test.nodes, len(test.stepped), func(order []int) {
				runs++
				once += redeemInOrder(t, order, test.nodes, test.stepped, c)
			})
			if once == 0 && c.step == "" {
				t.Errorf("%d nodes: nobody is ever allowed", test.nodes)
			}
			t.Logf("%d nodes, %+v: allowed in %d of %d orders", test.nodes, c, once, runs)
		}
	}
}

// redeemInOrder has the nodes redeem one token in an order of steps. The first of them may crash, and a new one redeems the token in
// the end. It returns how often that was allowed.
func redeemInOrder(t *testing.T, order []int, count int, stepped []ledgertest.Operation, c crash) (allowed int) {
	t.Helper()
	w, nodes := newWorld(), make([]*steppedNode, count)
	for i := range nodes {
		at := crash{}
		if i == 0 {
			at = c
		}
		nodes[i] = newSteppedNode(w, stepped, at)
		go nodes[i].redeem(t, w)
	}
	for _, i := range order {
		nodes[i].next()
	}
	var steps []string
	for i, n := range nodes {
		n.finish()
		steps = append(steps, fmt.Sprintf("node %d: %s", i, strings.Join(n.steps, ", ")))
		if n.allowed {
			allowed++
		}
	}
	if spent, err := w.node().Redeem(t.Context(), token(1), w.Now().Add(tokenLife)); err == nil && !spent {
		allowed++
	}
	if allowed > 1 {
		t.Errorf("order %v, crash %+v: allowed %d times; %s", order, c, allowed, strings.Join(steps, "; "))
	}
	return allowed
}
