package ledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// maxAhead is how far in the future a token may end.
	maxAhead = 24 * time.Hour
	// lockWait is how long a redemption waits for another one of the same token.
	lockWait = 2 * time.Second
	// claimSize is the number of random bytes that tell claims apart.
	claimSize = 16
	// generation is how many tokens each of the two generations of recent holds.
	generation = 1 << 16
)

var (
	errSwept      = errors.New("the token has ended, and so has what is known about it")
	errTooFar     = errors.New("the token ends too far in the future")
	errIncomplete = errors.New("the storage does not list what was stored")
)

// Redeem spends a token that ends at exp. Only false with a nil error means that this call, alone on all nodes, may let the token
// pass. An error means that this cannot be guaranteed.
//
// It claims, then looks: every redemption first stores a claim of its own and then lists all claims. Of two redemptions,
// whichever stored last sees the other's claim. Both may see it, and then neither passes; a lock makes that rare.
// model/redeem.pml is a model of it.
func (l *Ledger) Redeem(ctx context.Context, tokenHash [32]byte, exp time.Time) (spent bool, err error) {
	if err := l.redeemable(ctx, exp); err != nil {
		return true, fmt.Errorf("redeeming a token: %w", err)
	}
	if !l.redeemed.add(tokenHash) {
		return true, nil
	}
	// If the client leaves, go on: half a redemption would spend the token for nothing. The calls have deadlines of their own.
	ctx = context.WithoutCancel(ctx)
	defer l.store.lock(ctx, "bws-"+l.service+"-"+hex.EncodeToString(tokenHash[:]), l.lockWait)()

	bucket := l.claimsOn(tokenHash, exp)
	claim, err := l.claim(ctx, bucket, claimsEnd(exp))
	if err != nil {
		l.redeemed.remove(tokenHash) // nobody knows whether the claim has arrived; if it has, the next listing shows it
		return true, fmt.Errorf("storing a claim: %w", err)
	}
	l.witness(exp)
	keys, err := l.store.list(ctx, bucket, false, callLimit)
	if err != nil {
		return true, fmt.Errorf("listing claims: %w", err)
	}
	return contested(bucket, claim, keys)
}

// Spent reports whether a token has been redeemed, on any node. It claims nothing, so false is no promise.
func (l *Ledger) Spent(ctx context.Context, tokenHash [32]byte, exp time.Time) (bool, error) {
	if err := l.redeemable(ctx, exp); err != nil {
		return true, fmt.Errorf("looking for claims: %w", err)
	}
	if l.redeemed.has(tokenHash) {
		return true, nil
	}
	bucket := l.claimsOn(tokenHash, exp)
	keys, err := l.store.list(ctx, bucket, false, callLimit)
	if err != nil {
		return true, fmt.Errorf("listing claims: %w", err)
	}
	return slices.ContainsFunc(keys, func(listed string) bool { return parseClaim(bucket, listed) != "" }), nil
}

// claimsOn is the bucket of the claims on a token.
func (l *Ledger) claimsOn(tokenHash [32]byte, exp time.Time) location {
	return l.root.child(spentArea).child(minuteOf(exp).String()).child(hex.EncodeToString(tokenHash[:]))
}

// redeemable refuses a token whose claims may be swept already, or would never be.
func (l *Ledger) redeemable(ctx context.Context, exp time.Time) error {
	now := l.now()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !now.Before(exp.Add(skew)), int64(minuteOf(exp)) < l.sweptTo.Load():
		return errSwept
	case exp.After(now.Add(maxAhead)):
		return errTooFar
	}
	return nil
}

func (l *Ledger) claim(ctx context.Context, bucket location, end time.Time) (name string, err error) {
	var random [claimSize]byte
	_, _ = rand.Read(random[:]) // never fails
	name = hex.EncodeToString(random[:])
	record, err := encodeMark(end)
	if err != nil {
		return "", err
	}
	return name, l.store.store(ctx, bucket.child(name), record)
}

// contested reports whether there are claims beside one's own. It is an error if there are none at all.
func contested(bucket location, own string, listing []string) (bool, error) {
	found, others := false, false
	for _, listed := range listing {
		switch name := parseClaim(bucket, listed); name {
		case "":
		case own:
			found = true
		default:
			others = true
		}
	}
	if !found && !others {
		return true, errIncomplete
	}
	return others, nil
}

// parseClaim returns the name of a listed claim, "" for anything else.
func parseClaim(bucket location, listed string) string {
	segments := bucket.relative(listed)
	if len(segments) != 1 || !isHex(segments[0], claimSize) {
		return ""
	}
	return segments[0]
}

// recent remembers the tokens that were redeemed here last. It answers replays without the storage, is the mutex between redemptions
// of one token in one process, and outlasts a storage that is wiped. When the young generation is full, the old one is forgotten.
type recent struct {
	mu         sync.Mutex
	young, old map[[16]byte]struct{}
}

func newRecent() *recent {
	return &recent{young: make(map[[16]byte]struct{}), old: make(map[[16]byte]struct{})}
}

// add reports whether the token was not there before.
func (r *recent) add(tokenHash [32]byte) bool {
	k := [16]byte(tokenHash[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.knows(k) {
		return false
	}
	if len(r.young) >= generation {
		r.young, r.old = r.old, r.young
		clear(r.young)
	}
	r.young[k] = struct{}{}
	return true
}

func (r *recent) has(tokenHash [32]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.knows([16]byte(tokenHash[:]))
}

func (r *recent) knows(k [16]byte) bool {
	_, young := r.young[k]
	_, old := r.old[k]
	return young || old
}

func (r *recent) remove(tokenHash [32]byte) {
	k := [16]byte(tokenHash[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, k)
	delete(r.old, k)
}
