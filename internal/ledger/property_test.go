package ledger

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

// sealed is a session as a cookie would hold it, and what became of it.
type sealed struct {
	key    KeyID
	until  time.Time // when the key opens nothing any more
	at     time.Time
	bearer Bearer

	revoked bool // so that every node must refuse it
	tried   bool // so that some node may refuse it
}

// cluster is what the property is about: nodes with slightly different clocks, on one storage that may be down.
type cluster struct {
	*world
	nodes    []*Ledger
	sessions []*sealed
	stored   []revocation
	down     bool
}

func newCluster(t *rapid.T) *cluster {
	c := &cluster{world: newWorld()}
	for range 3 {
		off := time.Duration(rapid.IntRange(-30, 30).Draw(t, "clock")) * time.Second
		c.nodes = append(c.nodes, c.skewed(off))
	}
	c.syncAll(t)
	return c
}

func (c *cluster) syncAll(t *rapid.T) {
	for _, l := range c.nodes {
		if err := l.Sync(t.Context()); err != nil && !c.down {
			t.Fatalf("Sync: %v", err)
		}
	}
}

func (c *cluster) node(t *rapid.T) *Ledger { return rapid.SampledFrom(c.nodes).Draw(t, "node") }

func (c *cluster) issue(t *rapid.T) {
	l, n := c.node(t), len(c.sessions)
	key, err := l.Keys(Sessions).Current()
	switch {
	case err == nil:
	case c.down:
		t.Skip("the last known key has ended")
	default:
		t.Fatalf("Current: %v", err)
	}
	s := &sealed{key: key.ID, until: key.OpenUntil, at: l.now()}
	s.bearer = Bearer{
		Session:   [16]byte(binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n+1))),
		Person:    person(fmt.Sprintf("bioid/1/%d", 1+n%3)),
		NotBefore: c.Now().Add(-time.Duration(rapid.IntRange(0, 600).Draw(t, "age")) * time.Second),
	}
	// The person, or everything, may have been revoked since the token was issued. What was revoked while the storage was down is
	// refused only by the node that revoked it, until it restarts.
	for _, r := range c.stored {
		s.revoked = s.revoked || r.hits(&s.bearer)
	}
	for _, l := range c.nodes {
		s.tried = s.tried || l.Revoked(&s.bearer)
	}
	c.sessions = append(c.sessions, s)
}

// revocation is one of a person, or of all if there is none.
type revocation struct {
	person [16]byte
	at     int64
}

func (r revocation) hits(b *Bearer) bool {
	return b.NotBefore.Unix() <= r.at && (r.person == [16]byte{} || r.person == b.Person)
}

func (c *cluster) rotate(t *rapid.T) {
	_, err := c.node(t).Keys(Sessions).Rotate(t.Context())
	if err != nil && err != ErrTooManyKeys && !c.down {
		t.Fatalf("Rotate: %v", err)
	}
}

// revoke revokes a session or whatever it belongs to. Until the others have synced, only its own node refuses it.
func (c *cluster) revoke(t *rapid.T) {
	if len(c.sessions) == 0 {
		t.Skip("nothing to revoke")
	}
	l, s := c.node(t), rapid.SampledFrom(c.sessions).Draw(t, "session")
	kind := rapid.IntRange(kindSession, kindService).Draw(t, "kind")
	subject := []Subject{
		kindSession: OfSession(s.bearer.Session), kindPerson: OfPerson(s.bearer.Person), kindService: OfService(),
	}[kind]
	if err := l.Revoke(t.Context(), subject); (err != nil) != c.down {
		t.Fatalf("Revoke: %v", err)
	}
	made := revocation{at: l.now().Unix()}
	if kind == kindPerson {
		made.person = s.bearer.Person
	}
	if kind != kindSession && !c.down {
		c.stored = append(c.stored, made)
	}
	for _, other := range c.sessions {
		hit := other == s
		if kind != kindSession {
			hit = made.hits(&other.bearer)
		}
		if hit && !l.Revoked(&other.bearer) {
			t.Fatalf("a revoked session passes on the node that revoked it")
		}
		other.revoked = other.revoked || hit && !c.down
		other.tried = other.tried || hit
	}
	if !c.down {
		c.Advance(pollInterval)
		c.syncAll(t)
	}
}

// advance lets time pass as nodes live it: they poll and sweep.
func (c *cluster) advance(t *rapid.T) {
	step := rapid.SampledFrom([]time.Duration{
		time.Second, pollInterval, 40 * time.Second, KeyPropagation, 3 * time.Hour, KeyRotation, 20 * 24 * time.Hour,
	}).Draw(t, "step")
	for range 3 {
		c.Advance(step / 3)
		c.syncAll(t)
		for _, l := range c.nodes {
			if err := l.Sweep(t.Context()); err != nil && !c.down {
				t.Fatalf("Sweep: %v", err)
			}
		}
	}
	if age := c.Now().Sub(c.nodes[0].Keys(Sessions).All()[0].UseFrom); age > KeyRotation+step && !c.down {
		t.Fatalf("the newest key is %v old", age)
	}
}

// fail takes the storage down, or brings it back.
func (c *cluster) fail(t *rapid.T) {
	if c.down = !c.down; c.down {
		c.faulty.Set(ledgertest.Failing())
		return
	}
	c.faulty.Set(ledgertest.Fault{})
	c.Advance(KeyPropagation)
	c.syncAll(t)
}

func (c *cluster) restart(t *rapid.T) {
	if c.down {
		t.Skip("it would know nothing")
	}
	i := rapid.IntRange(0, len(c.nodes)-1).Draw(t, "node")
	c.nodes[i] = newNode(c.faulty, c.nodes[i].now)
	c.syncAll(t)
}

// check says what must hold at any time, of each session on each node.
func (c *cluster) check(t *rapid.T) {
	for i, s := range c.sessions {
		for j, l := range c.nodes {
			now := l.now()
			_, err := l.Keys(Sessions).Find(t.Context(), s.key)
			alive := now.Sub(s.at) < longestSession+clockStep
			switch {
			case err == nil && !now.Before(s.until):
				t.Fatalf("session %d opens on node %d after its end", i, j)
			case err != nil && now.Before(s.until) && !c.down && alive:
				t.Fatalf("session %d does not open on node %d: %v", i, j, err)
			case err == nil && alive && s.revoked && !l.Revoked(&s.bearer):
				t.Fatalf("session %d passes on node %d though it was revoked", i, j)
			case !s.tried && l.Revoked(&s.bearer):
				t.Fatalf("session %d does not pass on node %d though it was not revoked", i, j)
			}
		}
	}
}

func TestClusterProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(t)
		t.Repeat(map[string]func(*rapid.T){
			"issue": c.issue, "issue again": c.issue, "rotate": c.rotate, "revoke": c.revoke,
			"advance": c.advance, "fail": c.fail, "restart": c.restart, "": c.check,
		})
	})
}
