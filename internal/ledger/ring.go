package ledger

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"
)

// KeyID names a key.
type KeyID [8]byte

// String returns the id as the storage and the log spell it.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

func parseKeyID(dir location, listed string) (id KeyID, ok bool) {
	segments := dir.relative(listed)
	if len(segments) != 1 || !isHex(segments[0], len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(segments[0]))
	return id, err == nil
}

// Key is a secret that all nodes share. It is immutable, and its secret is not printed.
type Key struct {
	ID KeyID
	// UseFrom is when nodes begin to seal with it.
	UseFrom time.Time
	// OpenUntil is when it opens nothing any more.
	OpenUntil time.Time

	secret [32]byte
}

// Secret returns the 32 bytes of the key.
func (k *Key) Secret() [32]byte { return k.secret }

// Format prints the id in place of the key, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "key "+k.ID.String()) }

func (k *Key) opens(now time.Time) bool { return now.Before(k.OpenUntil) }

// ring is an immutable set of keys.
type ring struct {
	newestFirst []*Key
	byID        map[KeyID]*Key
}

// newRing sorts keys the same on all nodes, so that all agree on the newest.
func newRing(keys []*Key) *ring {
	slices.SortFunc(keys, func(a, b *Key) int {
		return cmp.Or(b.UseFrom.Compare(a.UseFrom), bytes.Compare(b.ID[:], a.ID[:]))
	})
	r := &ring{newestFirst: keys, byID: make(map[KeyID]*Key, len(keys))}
	for _, key := range keys {
		r.byID[key.ID] = key
	}
	return r
}

// current returns the newest key in use. If a clock that was put back makes them all lie in the future, it is the one that
// comes first. It is nil if there is none.
func (r *ring) current(now time.Time) *Key {
	var first *Key
	for _, key := range r.newestFirst {
		if !key.opens(now) {
			continue
		}
		if !key.UseFrom.After(now) {
			return key
		}
		first = key
	}
	return first
}

// nextUse reports whether it is time to create a key, and from when it is to be used: at once if it is the first. A key that is
// further in the future than any node with a proper clock would make it does not count.
func (r *ring) nextUse(now time.Time) (useFrom time.Time, due bool) {
	if r.current(now) == nil {
		return now, true
	}
	next := now.Add(KeyPropagation)
	for _, key := range r.newestFirst {
		if !key.UseFrom.After(next.Add(skew)) {
			return next, !next.Before(key.UseFrom.Add(KeyRotation))
		}
	}
	return next, true
}

// split returns the keys that still opened something at a certain time, and those that did not.
func (r *ring) split(at time.Time) (left *ring, ended []*Key) {
	keep := make([]*Key, 0, len(r.newestFirst))
	for _, key := range r.newestFirst {
		if key.opens(at) {
			keep = append(keep, key)
		} else {
			ended = append(ended, key)
		}
	}
	return newRing(keep), ended
}
