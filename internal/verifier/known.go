package verifier

import (
	"crypto/sha256"
	"time"
	"unsafe"

	"github.com/maypok86/otter/v2"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/monotonic"
)

// Key stands for a token in memory. Whoever gets to read the memory cannot use it as one.
type Key [sha256.Size]byte

// KeyOf returns the key of a token, its SHA-256 hash. The service is no part of it, since each has a verifier of its own.
func KeyOf(token string) Key {
	// Not []byte(token), which would copy the token to the heap for every request.
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token)))
}

// knownTokens remembers what the service has said of tokens: a result for as long as it may be reused, and that it has accepted
// the token for as long as the token lives. It is bounded, and forgets what is used least.
type knownTokens struct {
	cache                  *otter.Cache[Key, knownToken]
	clock                  *monotonic.Clock
	now                    func() time.Time
	successTTL, failureTTL time.Duration
}

type knownToken struct {
	// evidence is the last answer, nil if it may never be reused.
	evidence *evidence.Evidence
	// freshUntil and knownUntil are by the cache's clock.
	freshUntil, knownUntil int64
}

func newKnownTokens(config *Config, clock *monotonic.Clock) *knownTokens {
	k := &knownTokens{clock: clock, now: config.Now, successTTL: config.SuccessTTL, failureTTL: config.FailureTTL}
	k.cache = otter.Must(&otter.Options[Key, knownToken]{
		MaximumSize: config.Size,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(entry otter.Entry[Key, knownToken]) time.Duration {
			return time.Duration(entry.Value.knownUntil - clock.NowNano())
		}),
		Clock: clock,
	})
	return k
}

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

// learn remembers an answer in place of an older one. A fault is no answer, and changes nothing.
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
	k.remember(key, knownToken{evidence: &reused, freshUntil: k.clock.NowNano() + int64(ttl)}, e)
}

// maxLife bounds how long a token counts as known, far above how long tokens live. A token may claim to live until the year 9999,
// which is more nanoseconds away than an int64 holds.
const maxLife = 100 * 24 * time.Hour

// remember keeps what is known until the token ends. A rejected token, which may be invented and claim any end, is kept only as
// long as the rejection may be reused.
func (k *knownTokens) remember(key Key, known knownToken, e *evidence.Evidence) {
	now := k.clock.NowNano()
	end := now + int64(min(e.Expires.Sub(k.now()), maxLife))
	known.freshUntil = min(known.freshUntil, end)
	known.knownUntil = end
	if e.Outcome == evidence.Rejected {
		known.knownUntil = known.freshUntil
	}
	if known.knownUntil <= now {
		k.cache.Invalidate(key)
		return
	}
	k.cache.Set(key, known)
}

func (k *knownTokens) close() {
	k.cache.StopAllGoroutines()
	k.cache.InvalidateAll()
}
