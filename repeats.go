package caddybws

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/policy"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// Of denials that are alike, the logs tell a few in full within a minute. The others are counted, and told in one line.
const (
	toldInFull  = 5
	alikeWithin = time.Minute
	// Of 16 times 128 series, each keeps some 4 KiB at most.
	repeatShards = 16
	maxSeries    = 128
	// longestKept is how much is kept of what a client has chosen, such as a path.
	longestKept = 256
)

// likeness is what denials have in common that are alike: all but the path, which whoever tries things out varies.
type likeness struct {
	gate    *Gate
	message string
	client  netip.Addr
	reason  policy.Reason
	person  bws.BCID
}

// series is denials that are alike.
type series struct {
	began time.Time
	count int
	// tell writes the line that stands for those that were held back. It is nil as long as none was.
	tell func(repeated int)
}

func (s *series) hasEnded(now time.Time) bool {
	passed := now.Sub(s.began)
	return passed >= alikeWithin || passed < 0
}

// repeats counts the denials of a service. Requests that are allowed never come here.
type repeats struct {
	now    func() time.Time
	seed   maphash.Seed
	shards [repeatShards]repeatShard
}

type repeatShard struct {
	mu      sync.Mutex
	series  map[likeness]*series
	timer   *time.Timer // set while denials are held back
	stopped bool
}

func newRepeats(now func() time.Time) *repeats {
	r := &repeats{now: now, seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].series = make(map[likeness]*series)
	}
	return r
}

// holdBack counts a denial, and reports whether it is one of too many. The first of those is described by what tell returns.
func (r *repeats) holdBack(l likeness, tell func() func(repeated int)) bool {
	shard := &r.shards[maphash.Comparable(r.seed, l)%repeatShards]
	held, ended := r.count(shard, l, tell)
	tellAll(ended)
	return held
}

func (r *repeats) count(shard *repeatShard, l likeness, tell func() func(repeated int)) (held bool, ended []*series) {
	now := r.now()
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.stopped {
		return false, nil
	}
	s := shard.series[l]
	if s != nil && s.hasEnded(now) {
		ended = append(ended, s)
		delete(shard.series, l)
		s = nil
	}
	if s == nil {
		if len(shard.series) >= maxSeries { // many clients at once: begin anew rather than look for the one that matters least
			ended = append(ended, shard.take(func(*series) bool { return true })...)
		}
		s = &series{began: now}
		shard.series[l] = s
	}
	s.count++
	if s.count <= toldInFull {
		return false, ended
	}
	if s.tell == nil {
		s.tell = tell()
		if shard.timer == nil {
			shard.timer = time.AfterFunc(alikeWithin, func() { r.sweep(shard) })
		}
	}
	return true, ended
}

// take removes series.
func (shard *repeatShard) take(which func(*series) bool) (taken []*series) {
	for l, s := range shard.series {
		if which(s) {
			taken = append(taken, s)
			delete(shard.series, l)
		}
	}
	return taken
}

// sweep tells of the series that have ended, also if their clients have gone.
func (r *repeats) sweep(shard *repeatShard) {
	now := r.now()
	shard.mu.Lock()
	ended := shard.take(func(s *series) bool { return s.hasEnded(now) })
	shard.timer = nil
	for _, s := range shard.series {
		if s.tell != nil && !shard.stopped {
			shard.timer = time.AfterFunc(alikeWithin, func() { r.sweep(shard) })
			break
		}
	}
	shard.mu.Unlock()
	tellAll(ended)
}

// stop tells of everything that was held back. Nothing is held back any more, so that nothing is lost of requests that end later.
func (r *repeats) stop() {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		shard.stopped = true
		ended := shard.take(func(*series) bool { return true })
		if shard.timer != nil {
			shard.timer.Stop()
		}
		shard.mu.Unlock()
		tellAll(ended)
	}
}

func tellAll(ended []*series) {
	for _, s := range ended {
		if s.tell != nil {
			s.tell(s.count - toldInFull)
		}
	}
}

// isHeldBack reports whether the logs are to tell a denial later, together with others.
func (g *Gate) isHeldBack(level zapcore.Level, message string, q *inquiry) bool {
	v := q.visit
	if v.decision.Allow || !g.logger.Core().Enabled(level) && !g.auditLog.Core().Enabled(zap.InfoLevel) {
		return false
	}
	alike := likeness{g, message, verifier.ClientOf(clientAddr(q.Request)), v.decision.Reason, v.named()}
	return g.service.repeats.holdBack(alike, func() func(int) { return g.retell(level, message, q) })
}

// retell returns what writes the lines that a denial would have got, with how many like it there were.
func (g *Gate) retell(level zapcore.Level, message string, q *inquiry) func(repeated int) {
	logged, audited := kept(g.logFields(q)), kept(g.auditFields(q))
	return func(repeated int) {
		count := zap.Int("repeated", repeated)
		if c := g.logger.Check(level, message); c != nil {
			c.Write(append(logged, count)...)
		}
		if c := g.auditLog.Check(zap.InfoLevel, message); c != nil {
			c.Write(append(audited, count)...)
		}
	}
}

// kept returns fields that keep nothing of the request alive, and not much of what the client has chosen.
func kept(fields []zap.Field) []zap.Field {
	for i := range fields {
		text := fields[i].String
		fields[i].String = strings.Clone(text[:min(len(text), longestKept)])
	}
	return fields
}
