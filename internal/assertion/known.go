package assertion

import (
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/caddy-bws/caddy-bws/internal/monotonic"
)

const (
	// maxWeight bounds the memory that remembered assertions take, in bytes. It is enough for some ten thousand.
	maxWeight = 16 << 20
	// overhead is what an assertion takes beside its texts.
	overhead = 512
)

// known remembers assertions for the first half of their life. It is bounded, and forgets what is used least.
type known struct {
	cache *otter.Cache[Statement, fresh]
}

// fresh is an assertion, and when it may be handed out: by the wall clock, since the app compares its times with a wall clock, too.
type fresh struct {
	text        string
	from, until int64 // nanoseconds since 1970
}

func newKnown(now func() time.Time) *known {
	return &known{otter.Must(&otter.Options[Statement, fresh]{
		MaximumWeight: maxWeight,
		Weigher:       weigh,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(entry otter.Entry[Statement, fresh]) time.Duration {
			return time.Duration(entry.Value.until - entry.Value.from)
		}),
		Clock: monotonic.NewClock(now),
	})}
}

// weigh returns how many bytes an entry takes. They are counted, and not only the entries, because clients decide how long a path is.
func weigh(s Statement, f fresh) uint32 {
	return uint32(overhead + len(f.text) + len(s.Issuer) + len(s.Audience) + len(s.Method) + len(s.Path)) //nolint:gosec // far below
}

// fresh returns an assertion of the statement that still has half of its life before it, and "" if there is none.
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
	// These may be slices of a long request line. Clones do not keep all of it in memory.
	kept.Audience, kept.Method, kept.Path = strings.Clone(s.Audience), strings.Clone(s.Method), strings.Clone(s.Path)
	k.cache.Set(kept, fresh{text: text, from: from * second, until: (from + until) * (second / 2)})
}

func (k *known) close() {
	k.cache.StopAllGoroutines()
	k.cache.InvalidateAll()
}
