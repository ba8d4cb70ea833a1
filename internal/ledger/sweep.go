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
	// claimsSlack is how long claims outlive the minute in which their token ends: it is accepted for as long as one skew, by
	// nodes that lag behind by another, and calls under way have to return.
	claimsSlack = 3 * time.Minute
)

// Sweep deletes what has ended, as much as fits into a round. Every node sweeps; whoever comes second finds nothing. Start does
// it regularly.
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

// sweepSpent deletes buckets of claims. The first rounds look for those that were left over by the nodes' last run; from then on
// it counts the minutes, so that listing them, which some storages do slowly, is not needed.
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
		// First refuse to redeem what can be redeemed again once its claims are gone.
		l.sweptTo.Store(int64(next) + 1)
		if err := l.store.clear(ctx, area.child(next.String())); err != nil {
			l.leftoversSwept = false
			return err
		}
	}
	return nil
}

func (l *Ledger) sweepLeftovers(ctx context.Context, area key, end minute) error {
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

// witness notes that a token of the service was redeemed, which shows what time it is there.
func (l *Ledger) witness(exp time.Time) {
	for {
		newest := l.newestExp.Load()
		if exp.Unix() <= newest || l.newestExp.CompareAndSwap(newest, exp.Unix()) {
			return
		}
	}
}

// firstUnspent is the first bucket of claims that must stay. A clock that is an hour ahead must not destroy the claims on tokens
// that the other nodes accept. So it is not believed until a token has been redeemed here that was issued after their end; or
// until an hour more has passed, for nodes that redeem nothing.
func (l *Ledger) firstUnspent(now time.Time) minute {
	byClock := now.Add(-claimsSlack)
	byService := time.Unix(l.newestExp.Load(), 0).Add(-tokenLife - claimsSlack)
	atLast := byClock.Add(-clockStep)
	return min(minuteOf(byClock), max(minuteOf(byService), minuteOf(atLast)))
}

// claimsEnd is when the claims on a token that ends at exp have nothing left to prevent: its minute is over, no node accepts it
// any more, whether its clock is right or wrong by as much as is tolerated, and calls under way have returned.
func claimsEnd(exp time.Time) time.Time {
	return (minuteOf(exp) + 1).start().Add(claimsSlack)
}

// sweep deletes buckets that reading all revocations has come across.
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
