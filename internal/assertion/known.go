package assertion

import (
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// maxWeight bounds the memory that remembered assertions take, in bytes. It is enough for some ten thousand.
	maxWeight = 16 << 20
	// overhead is what one takes beside its texts.
	overhead = 512
)

// known remembers assertions for the first half of their life. It is bounded, and forgets what is used least.
type known struct {
	cache *otter.Cache[Statement, fresh]
	now   func() time.Time
	start time.Time
}

// fresh is an assertion and when it may be handed out, by the wall clock: the app compares its times with one, too.
type fresh struct {
	text        string
	from, until int64 // nanoseconds since 1970
}

func newKnown(now func() time.Time) *known {
	k := &known{now: now, start: now()}
	k.cache = otter.Must(&otter.Options[Statement, fresh]{
		MaximumWeight: maxWeight,
		Weigher:       weigh,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(entry otter.Entry[Statement, fresh]) time.Duration {
			return time.Duration(entry.Value.until - entry.Value.from)
		}),
		Clock: k,
	})
	return k
}

// weigh returns what an entry takes: a client decides how long a path is.
func weigh(s Statement, f fresh) uint32 {
	return uint32(overhead + len(f.text) + len(s.Issuer) + len(s.Audience) + len(s.Method) + len(s.Path)) //nolint:gosec // far below
}

// NowNano is the cache's clock. It counts from a time with a monotonic part, so that nothing stays longer when the wall clock is set
// back.
func (k *known) NowNano() int64 { return int64(k.now().Sub(k.start)) }

// Tick says when to clear away what has expired. It counts real time even where the clock is not: it decides nothing.
func (k *known) Tick(d time.Duration) <-chan time.Time { return time.Tick(d) }

// fresh returns an assertion for a statement that is good for half of its life yet, and "" if there is none.
func (k *known) fresh(s *Statement, now time.Time) string {
	f, ok := k.cache.GetIfPresent(*s)
	if at := now.UnixNano(); !ok || at < f.from || at >= f.until {
		return ""
	}
	return f.text
}

// learn remembers an assertion that is good from one second to another.
func (k *known) learn(s *Statement, text string, from, until int64) {
	second, kept := int64(time.Second), *s
	// They may be parts of a long request line, which is not to be kept as well.
	kept.Audience, kept.Method, kept.Path = strings.Clone(s.Audience), strings.Clone(s.Method), strings.Clone(s.Path)
	k.cache.Set(kept, fresh{text: text, from: from * second, until: (from + until) * (second / 2)})
}

func (k *known) close() {
	k.cache.StopAllGoroutines()
	k.cache.InvalidateAll()
}
