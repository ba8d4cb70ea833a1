package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// turmoil is what goes on in a cluster while one of its nodes is killed.
type turmoil struct {
	*cluster
	t         *testing.T
	victim    *node
	survivors []*node

	mu      sync.Mutex
	tokens  []string // by the number of their path
	revoked []string // sessions, once their revocation is acknowledged

	redeemed, rotated atomic.Int64 // how much was answered
}

func (m *turmoil) nodes() []*node { return append([]*node{m.victim}, m.survivors...) }

// begin has everything go on at once.
func (m *turmoil) begin() *crew {
	work := newCrew(m.t)
	for range 4 {
		work.repeat(m.redeem)
	}
	for _, n := range m.survivors {
		work.repeat(func() { m.redeemAlone(n) })
		work.repeat(m.visitor(n))
	}
	for _, n := range m.nodes() {
		work.repeat(func() { m.revoke(n) })
		work.repeat(func() { m.rotate(n) })
	}
	return work
}

// answered reports whether a node has answered. Only the victim may fail to, and not by being silent.
func (m *turmoil) answered(n *node, err error) bool {
	if err != nil && (n != m.victim || errors.Is(err, context.DeadlineExceeded)) {
		m.t.Errorf("a survivor has not answered, or the victim not in time: %v", err)
	}
	return err == nil
}

// newToken returns a token, and the path that stands for it.
func (m *turmoil) newToken() (token, path string) {
	token = m.good()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens = append(m.tokens, token)
	return token, pathOf(len(m.tokens) - 1)
}

func pathOf(number int) string { return fmt.Sprintf("/once?%d", number) }

// redeem presents a token to all nodes at once.
func (m *turmoil) redeem() {
	token, path := m.newToken()
	var rush sync.WaitGroup
	for _, n := range slices.Concat(m.nodes(), m.nodes()) {
		rush.Go(func() { m.present(n, token, path, "200", "401 spent", "503 ledger_unavailable") })
	}
	rush.Wait()
}

// redeemAlone presents a token to one node, which lets it pass.
func (m *turmoil) redeemAlone(n *node) {
	token, path := m.newToken()
	m.present(n, token, path, "200")
}

func (m *turmoil) present(n *node, token, path string, want ...string) {
	got, err := m.ask(http.MethodGet, n.url(path), "", token)
	if !m.answered(n, err) {
		return
	}
	m.redeemed.Add(1)
	if !slices.Contains(want, got.outcome()) {
		m.t.Errorf("a token got %s, want %v", got.outcome(), want)
	}
}

// visitor comes again and again to a node, with a session that nothing has happened to.
func (m *turmoil) visitor(n *node) func() {
	cookie := m.mustSession(m.t, n, m.good())
	return func() { m.check(m.t, "200", n, http.MethodGet, "/private", cookie) }
}

// revoke has a node revoke a session that a survivor has begun.
func (m *turmoil) revoke(n *node) {
	token := m.good()
	cookie, err := m.session(m.survivors[0], token)
	if !m.answered(m.survivors[0], err) {
		return
	}
	status, err := m.admin(n, "/bws/revoke", fmt.Sprintf(`{"token":%q}`, bare(token)))
	switch {
	case !m.answered(n, err):
	case status != http.StatusOK:
		m.t.Errorf("revoking: %d", status)
	default:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.revoked = append(m.revoked, cookie)
	}
}

func (m *turmoil) rotate(n *node) {
	if m.rotated.Add(1) > rotations {
		return
	}
	if status, err := m.admin(n, "/bws/rotate", ""); m.answered(n, err) && status != http.StatusOK {
		m.t.Errorf("rotating: %d", status)
	}
}

// latest returns the sessions whose revocation was acknowledged last.
func (m *turmoil) latest() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.revoked[max(0, len(m.revoked)-30):])
}

// goesOn waits until some more tokens have been answered.
func (m *turmoil) goesOn() {
	m.t.Helper()
	enough := m.redeemed.Load() + 30
	eventually(m.t, "tokens are redeemed", func() bool { return m.redeemed.Load() >= enough })
}

// Nodes die in the midst of redemptions, rotations and revocations, and come back. No token passes twice, whatever has been
// acknowledged as revoked stays so, nobody waits for what the dead have left behind, and the survivors work as ever.
func TestClusterSurvivesKills(t *testing.T) {
	covers(t, 55)
	c := newCluster(t)
	nodes := c.startAll(3)
	m := &turmoil{cluster: c, t: t}
	for i := range nodes {
		m.victim, m.survivors = nodes[i], slices.Delete(slices.Clone(nodes), i, i+1)
		work := m.begin()
		m.goesOn()
		m.victim.kill()
		m.goesOn()
		revoked := m.latest()
		m.victim.restart()
		for _, cookie := range revoked { // it knows before it opens the first session
			c.check(t, "401 revoked", m.victim, http.MethodGet, "/private", cookie)
		}
		m.goesOn()
		work.stop()
	}
	t.Logf("%d tokens, %d revocations, %d answers", len(m.tokens), len(m.revoked), m.redeemed.Load())

	within(t, propagation, "all nodes refuse what has been revoked", func() bool {
		for _, n := range nodes {
			for _, cookie := range m.revoked {
				if c.outcome(n, http.MethodGet, "/private", cookie) != "401 revoked" {
					return false
				}
			}
		}
		return true
	})
	inCrowd(20, len(m.tokens), func(number int) {
		for _, n := range nodes {
			m.present(n, m.tokens[number], pathOf(number), "200", "401 spent")
		}
	})
	for path, times := range c.passed(http.MethodGet) {
		if times > 1 && path != "/private" {
			t.Errorf("the token of %s has passed %d times", path, times)
		}
	}
	for _, n := range nodes {
		c.check(t, "200", n, http.MethodGet, "/once", c.good())
		c.mustSession(t, n, c.good())
	}
}
