package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pollInterval is how often the newest revocations are read.
	pollInterval = 5 * time.Second
	// readInterval is how often all are.
	readInterval = 10 * time.Minute
	// readLimit is how long that may take.
	readLimit = 30 * time.Second
	// longestSession is the longest lifetime a session can have.
	longestSession = 30 * 24 * time.Hour
	// revocationLife covers the longest session, and a clock that is wrong when the end has come.
	revocationLife = longestSession + clockStep
	// pollBack is how many minutes before the current one are polled: a node whose clock is behind may have stored a revocation
	// at the end of a minute. pollAhead is the same for clocks that are ahead.
	pollBack, pollAhead = 2, 1
	// maxPolled is how many minutes are polled to catch up; beyond that, all are read.
	maxPolled = 15
)

var errNoSubject = errors.New("there is nothing to revoke; name a session, a token, a person or the service")

// revocations are those that this node has read or made.
type revocations struct {
	store *store
	area  location
	now   func() time.Time

	table atomic.Pointer[table]
	// readAt is when the revocations were read last, nil if never. It has a monotonic part, so that setting the clock makes them
	// neither fresh nor stale.
	readAt atomic.Pointer[time.Time]

	mu    sync.Mutex // guards changes of table, and ended
	ended []minute   // buckets seen in the storage that are to be deleted

	fullAt time.Time // when reading all of them was last begun; only sync uses it
}

func newRevocations(l *Ledger) *revocations {
	r := &revocations{store: l.store, area: l.root.child(revokedArea), now: l.now}
	r.table.Store(&table{})
	return r
}

// Revoke makes this node refuse the subject at once, and the others within seconds. If the storage fails, the others do not hear of
// it, and this node forgets it when it stops.
func (l *Ledger) Revoke(ctx context.Context, s Subject) error {
	r := l.revocations
	if s == (Subject{}) {
		return errNoSubject
	}
	now := r.now()
	if err := r.add(map[Subject]int64{s: now.Unix()}, false); err != nil {
		return err
	}
	record, err := encodeMark(now.Add(revocationLife))
	if err != nil {
		return fmt.Errorf("encoding a revocation: %w", err)
	}
	entry := r.area.child(minuteOf(now).String()).child(revocationName(s, now.Unix())).child(markName)
	if err := r.store.store(ctx, entry, record); err != nil {
		return fmt.Errorf("storing a revocation: %w", err)
	}
	return nil
}

// Revoked reports whether the bearer's session, token or person has been revoked, or everything. A revocation of a person or of
// everything concerns tokens that were issued up to its second. Revoked does no I/O.
func (l *Ledger) Revoked(b *Bearer) bool { return l.revocations.table.Load().revoked(b) }

// StaleFor returns how long ago the revocations were read. It is not ok if they have never been: then nobody can be said not to be
// revoked.
func (l *Ledger) StaleFor(now time.Time) (age time.Duration, ok bool) {
	readAt := l.revocations.readAt.Load()
	if readAt == nil {
		return 0, false
	}
	return max(0, now.Sub(*readAt)), true
}

// sync reads the newest revocations. It reads all of them if that is due, or if it has been so long that the newest do not reach back
// to those read before.
func (r *revocations) sync(ctx context.Context) error {
	now := r.now()
	first, last := minuteOf(now)-pollBack, minuteOf(now)+pollAhead
	readAt := r.readAt.Load()
	if readAt != nil {
		first = min(first, minuteOf(*readAt)-pollBack)
	}
	if readAt != nil && last-first <= maxPolled {
		if err := r.poll(ctx, first, last); err != nil {
			return fmt.Errorf("polling revocations: %w", err)
		}
		r.readAt.Store(&now)
		if !due(r.fullAt, readInterval, now) {
			return nil
		}
	}
	r.fullAt = now // also if it fails: it may take long, and must not hold up each poll
	if err := r.readAll(ctx, now); err != nil {
		return fmt.Errorf("reading revocations: %w", err)
	}
	r.readAt.Store(&now)
	return nil
}

func (r *revocations) poll(ctx context.Context, first, last minute) error {
	found := make(map[Subject]int64)
	for m := max(0, first); m <= last; m++ {
		keys, err := r.store.list(ctx, r.area.child(m.String()), true, callLimit)
		if err != nil {
			return err
		}
		for _, listed := range keys {
			if s, created, ok := parseRevocation(r.area, listed); ok {
				found[s] = max(found[s], created)
			}
		}
	}
	return r.add(found, false)
}

func (r *revocations) readAll(ctx context.Context, now time.Time) error {
	keys, err := r.store.list(ctx, r.area, true, readLimit)
	if err != nil {
		return err
	}
	found, ended := make(map[Subject]int64), make(map[minute]struct{})
	for _, listed := range keys {
		s, created, ok := parseRevocation(r.area, listed)
		switch m := minute(created / 60); {
		case !ok:
		case m < firstUnended(now):
			ended[m] = struct{}{}
		default:
			found[s] = max(found[s], created)
		}
	}
	r.mu.Lock()
	r.ended = r.ended[:0]
	for m := range ended {
		r.ended = append(r.ended, m)
	}
	r.mu.Unlock()
	return r.add(found, true)
}

// add publishes more revocations. Settling also drops those that have ended.
func (r *revocations) add(found map[Subject]int64, settle bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := r.table.Load().with(found)
	if err != nil {
		return err
	}
	if settle || len(next.recent) > maxRecent {
		next = next.settle(firstUnended(r.now()).start().Unix())
	}
	r.table.Store(next)
	return nil
}

// firstUnended is the first bucket that holds revocations that have not ended.
func firstUnended(now time.Time) minute { return minuteOf(now.Add(-revocationLife)) }

// markName is the entry below the name of a revocation. Each revocation has a folder of its own, because a file system stores by
// renaming a temporary file: whoever listed a folder of many revocations would see entries vanish again and again.
const markName = "mark"

// revocationName says all that there is to know of a revocation, so that whoever lists a bucket has read it.
func revocationName(s Subject, created int64) string {
	return hex.EncodeToString(s[:]) + "-" + strconv.FormatInt(created, 10)
}

// parseRevocation reads the name of a listed revocation. Anything else is not ok.
func parseRevocation(area location, listed string) (s Subject, created int64, ok bool) {
	segments := area.relative(listed)
	if len(segments) != 2 && len(segments) != 3 { // the folder, or what is in it
		return s, 0, false
	}
	subject, second, _ := strings.Cut(segments[1], "-")
	if !isHex(subject, len(s)) {
		return s, 0, false
	}
	created, ok = parseDecimal(second)
	if !ok || created == 0 || minute(created/60).String() != segments[0] {
		return s, 0, false
	}
	_, err := hex.Decode(s[:], []byte(subject))
	return s, created, err == nil && s.known()
}
