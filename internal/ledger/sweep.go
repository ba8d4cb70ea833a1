package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// sweepInterval is how often a round of sweeping is due: as often as a bucket of claims ends.
	sweepInterval = time.Minute
	// maxSwept bounds the buckets that a round deletes of each kind.
	maxSwept = 64
	// skew is what clocks may be apart.
	skew = time.Minute
	// clockStep is how far ahead a clock may be without sweeping doing harm.
	clockStep = time.Hour
	// tokenLife is how long the service lets a token live.
	tokenLife = 10 * time.Minute
	// claimsSlack is how long claims outlive the minute in which their token ends: one skew for which it is still accepted, one for
	// nodes whose clocks are behind, and time for calls under way to return.
	claimsSlack = 3 * time.Minute
)

// Sweep deletes what has ended, as much as fits into a round. Every node sweeps, and whoever comes second finds nothing. Start does it
// regularly.
func (l *Ledger) Sweep(ctx context.Context) error {
	l.sweeping.Lock()
	defer l.sweeping.Unlock()
	err := errors.Join(l.sweepSpent(ctx), l.revocations.sweep(ctx))
	for _, keys := range l.keys {
		err = errors.Join(err, keys.sweep(ctx))
	}
	if err != nil {
		return fmt.Errorf("sweeping: %w", err)
	}
	return nil
}

// sweepSpent deletes buckets of claims. The first rounds list what an earlier run of the nodes has left over. From then on it counts
// the minutes, because some storages are slow to list them.
func (l *Ledger) sweepSpent(ctx context.Context) error {
	area, end := l.root.child(spentArea), l.firstUnspent(l.now())
	if !l.leftoversSwept {
		return l.sweepLeftovers(ctx, area, end)
	}
	for range maxSwept {
		next := minute(l.sweptTo.Load())
		if next >= end {
			return nil
		}
		// Before the claims go, refuse the tokens that could be redeemed again without them.
		l.sweptTo.Store(int64(next) + 1)
		if err := l.store.clear(ctx, area.child(next.String())); err != nil {
			l.leftoversSwept = false
			return err
		}
	}
	return nil
}

func (l *Ledger) sweepLeftovers(ctx context.Context, area location, end minute) error {
	listed, err := l.store.list(ctx, area, false, readLimit)
	if err != nil {
		return err
	}
	l.sweptTo.Store(max(l.sweptTo.Load(), int64(end)))
	swept := 0
	for m := range minutesIn(area, listed) {
		switch {
		case m >= end:
			continue
		case swept == maxSwept:
			return nil
		}
		if err := l.store.clear(ctx, area.child(m.String())); err != nil {
			return err
		}
		swept++
	}
	l.leftoversSwept = true
	return nil
}

// witness notes the end of a redeemed token, which shows what time it is at the service.
func (l *Ledger) witness(exp time.Time) {
	for {
		newest := l.newestExp.Load()
		if exp.Unix() <= newest || l.newestExp.CompareAndSwap(newest, exp.Unix()) {
			return
		}
	}
}

// firstUnspent is the first bucket of claims that must stay. A node whose clock is an hour ahead must not destroy claims on tokens that
// the other nodes accept. So it does not trust its clock alone: it waits until a token has been redeemed here that was issued after
// the end of those claims or, for nodes that redeem nothing, for an hour more.
func (l *Ledger) firstUnspent(now time.Time) minute {
	byClock := now.Add(-claimsSlack)
	byService := time.Unix(l.newestExp.Load(), 0).Add(-tokenLife - claimsSlack)
	atLast := byClock.Add(-clockStep)
	return min(minuteOf(byClock), max(minuteOf(byService), minuteOf(atLast)))
}

// claimsEnd is when the claims on a token that ends at exp have nothing left to prevent: its minute is over, no node accepts it any
// more even if its clock is behind, and calls under way have returned.
func claimsEnd(exp time.Time) time.Time {
	return (minuteOf(exp) + 1).start().Add(claimsSlack)
}

// sweep deletes the buckets that have ended, as reading all revocations has found them.
func (r *revocations) sweep(ctx context.Context) error {
	for range maxSwept {
		m, ok := r.nextEnded()
		if !ok {
			return nil
		}
		if err := r.store.clear(ctx, r.area.child(m.String())); err != nil {
			return err
		}
	}
	return nil
}

func (r *revocations) nextEnded() (m minute, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.ended) - 1
	if last < 0 {
		return 0, false
	}
	m, r.ended = r.ended[last], r.ended[:last]
	return m, true
}

// sweep deletes keys that open nothing any more, on any node.
func (k *Keys) sweep(ctx context.Context) error {
	past := k.now().Add(-clockStep)
	_, ended := k.ring.Load().split(past)
	for _, key := range ended {
		if err := k.store.deleteAll(ctx, k.dir.child(key.ID.String())); err != nil {
			return err
		}
	}
	if len(ended) == 0 {
		return nil
	}
	if err := k.turn.take(ctx); err != nil {
		return err
	}
	defer k.turn.pass()
	left, _ := k.ring.Load().split(past)
	k.ring.Store(left)
	return nil
}
