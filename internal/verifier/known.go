package verifier

import (
	"crypto/sha256"
	"time"
	"unsafe"

	"github.com/maypok86/otter/v2"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// Key stands for a token in memory, where the token itself would be a find for whoever gets to read it.
type Key [sha256.Size]byte

// KeyOf returns the key of a token. A verifier serves one service, so that the token alone tells its tokens apart.
func KeyOf(token string) Key {
	// A conversion would copy the token to the heap for every request.
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token)))
}

// knownTokens remembers what the service has said of tokens: a result for as long as it may be reused, and that it has accepted
// the token for as long as the token lives. It is bounded, and forgets what is used least.
type knownTokens struct {
	cache                  *otter.Cache[Key, knownToken]
	now                    func() time.Time
	start                  time.Time
	successTTL, failureTTL time.Duration
}

type knownToken struct {
	// evidence is the last answer, nil if it may never be reused.
	evidence *evidence.Evidence
	// freshUntil and knownUntil are times of the cache's clock.
	freshUntil, knownUntil int64
}

func newKnownTokens(config *Config) *knownTokens {
	k := &knownTokens{now: config.Now, start: config.Now(), successTTL: config.SuccessTTL, failureTTL: config.FailureTTL}
	k.cache = otter.Must(&otter.Options[Key, knownToken]{
		MaximumSize: config.Size,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(entry otter.Entry[Key, knownToken]) time.Duration {
			return time.Duration(entry.Value.knownUntil - k.NowNano())
		}),
		Clock: k,
	})
	return k
}

// NowNano is the cache's clock. It counts from a time with a monotonic part, so that nothing lives longer when the wall clock
// is set back.
func (k *knownTokens) NowNano() int64 { return int64(k.now().Sub(k.start)) }

// Tick says when to clear away what has expired. It counts real time even where the clock is not: it decides nothing.
func (k *knownTokens) Tick(d time.Duration) <-chan time.Time { return time.Tick(d) }

// fresh returns the evidence for a token, if there is any that may still be reused.
func (k *knownTokens) fresh(key Key) *evidence.Evidence {
	entry, ok := k.cache.GetEntry(key)
	if !ok || entry.Value.evidence == nil || entry.SnapshotAtNano >= entry.Value.freshUntil {
		return nil
	}
	return entry.Value.evidence
}

// accepted reports whether the service is known to have accepted the token.
func (k *knownTokens) accepted(key Key) bool {
	known, ok := k.cache.GetIfPresent(key)
	return ok && (known.evidence == nil || known.evidence.Outcome == evidence.Answered)
}

// learn remembers an answer in place of an older one. What is no answer changes nothing.
func (k *knownTokens) learn(key Key, e *evidence.Evidence) {
	var ttl time.Duration
	switch e.Outcome {
	case evidence.Pending:
		k.remember(key, knownToken{}, e)
		return
	case evidence.Answered:
		if ttl = k.failureTTL; e.Success {
			ttl = k.successTTL
		}
	case evidence.Rejected:
		ttl = k.failureTTL
	default:
		return
	}
	reused := *e
	reused.Source = evidence.FromCache
	k.remember(key, knownToken{evidence: &reused, freshUntil: k.NowNano() + int64(ttl)}, e)
}

// maxLife bounds how long a token counts as known, far above how long one lives. The end of the year 9999, which a token may
// claim, is more nanoseconds away than there are numbers for.
const maxLife = 100 * 24 * time.Hour

// remember keeps what is known until the token ends, and of a rejected token, which somebody may have invented with any end,
// only as long as the rejection may be reused.
func (k *knownTokens) remember(key Key, known knownToken, e *evidence.Evidence) {
	end := k.NowNano() + int64(min(e.Expires.Sub(k.now()), maxLife))
	known.freshUntil = min(known.freshUntil, end)
	known.knownUntil = end
	if e.Outcome == evidence.Rejected {
		known.knownUntil = known.freshUntil
	}
	if known.knownUntil <= k.NowNano() {
		k.cache.Invalidate(key)
		return
	}
	k.cache.Set(key, known)
}

func (k *knownTokens) close() {
	k.cache.StopAllGoroutines()
	k.cache.InvalidateAll()
}
