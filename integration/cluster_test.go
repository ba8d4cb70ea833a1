package integration

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
)

// A session is good on every node that shares the storage, one that starts later included, and none of them needs BWS for it.
func TestClusterSharesSessions(t *testing.T) {
	c := newCluster(t)
	a, b := c.start(), c.start()
	cookies := []string{c.mustSession(t, a, c.good()), c.mustSession(t, b, c.good())}
	asked := c.service.Calls("/result")
	c.service.Close()
	late := c.start()

	for _, n := range []*node{a, b, late} {
		for _, cookie := range cookies {
			c.app.take()
			c.check(t, "200", n, http.MethodGet, "/private", cookie)
			if reached := c.app.take(); len(reached) != 1 || reached[0].Header.Get("X-Bws-Bcid") != alice.String() {
				t.Errorf("the app is not told of Alice: %v", reached)
			}
		}
		c.check(t, "401 no_token", n, http.MethodGet, "/private")
	}
	if calls := c.service.Calls("/result"); calls != asked {
		t.Errorf("BWS was asked %d times after the sessions had begun", calls-asked)
	}
}

// What one node has been told to revoke it refuses at once, and the others within seconds; so they do with the token that the
// session began with.
func TestClusterRevokes(t *testing.T) {
	covers(t, 57)
	c := newCluster(t)
	a, b := c.start(), c.start()
	revoke := func(t *testing.T, format, value string) {
		t.Helper()
		body := fmt.Sprintf(format, value)
		if status, err := c.admin(a, "/bws/revoke", body); err != nil || status != http.StatusOK {
			t.Errorf("revoking %s: %d, %v", body, status, err)
		}
	}
	type subject struct{ person, token, cookie string }
	type way struct {
		name   string
		revoke func(*testing.T, subject)
	}
	for _, ways := range [][]way{
		{
			{"person", func(t *testing.T, s subject) { revoke(t, `{"bcid":%q}`, s.person) }},
			{"token", func(t *testing.T, s subject) { revoke(t, `{"token":%q}`, bare(s.token)) }},
			{"session", func(t *testing.T, s subject) { revoke(t, `{"session":%q}`, sessionID(bare(s.token))) }},
			{"logout", func(t *testing.T, s subject) { c.check(t, "303", a, http.MethodPost, "/logout", s.cookie) }},
			{"logout with the token", func(t *testing.T, s subject) { c.check(t, "303", a, http.MethodPost, "/logout", s.token) }},
		},
		{{"everything", func(t *testing.T, _ subject) { revoke(t, `{"service":%q}`, "default") }}},
	} {
		subjects := make([]subject, len(ways))
		for i, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				person := bws.BCID{Storage: "bioid", Partition: 9876, Class: int32(i + 1)}
				s := subject{person: person.String(), token: "X-BWS-Token: " + goodOf(c.service.Service, person)}
				s.cookie = c.mustSession(t, a, s.token)
				subjects[i] = s
				c.check(t, "200", b, http.MethodGet, "/private", s.cookie)
				way.revoke(t, s)
				c.check(t, "401 revoked", a, http.MethodGet, "/private", s.cookie)
				c.check(t, "401 revoked", a, http.MethodGet, "/private", s.token)
			})
		}
		for i, way := range ways {
			t.Run(way.name+" elsewhere", func(t *testing.T) {
				within(t, propagation, "the other node refuses the session", func() bool {
					return c.outcome(b, http.MethodGet, "/private", subjects[i].cookie) == "401 revoked"
				})
				for _, path := range []string{"/private", "/once", "/transfer"} {
					c.check(t, "401 revoked", b, http.MethodGet, path, subjects[i].token)
				}
			})
		}
	}
	within(t, 2*time.Second, "new tokens are good", func() bool {
		return c.outcome(b, http.MethodGet, "/private", c.good()) == "200"
	})
}

// Whoever has a node revoke one session after the other keeps no node from learning what else has been revoked.
func TestClusterRevokesInAStorm(t *testing.T) {
	c := newCluster(t)
	a, b := c.start(), c.start()
	token := c.good()
	cookie := c.mustSession(t, a, token)
	storm := newCrew(t)
	var revoked atomic.Int64
	for range 12 {
		storm.repeat(func() {
			body := fmt.Sprintf(`{"session":%q}`, sessionID(rand.Text()))
			if status, err := c.admin(a, "/bws/revoke", body); status != http.StatusOK {
				t.Errorf("revoking: %d, %v", status, err)
			}
			revoked.Add(1)
		})
	}
	eventually(t, "it is under way", func() bool { return revoked.Load() > 1000 })
	if status, err := c.admin(a, "/bws/revoke", fmt.Sprintf(`{"token":%q}`, bare(token))); status != http.StatusOK {
		t.Fatalf("revoking: %d, %v", status, err)
	}
	within(t, propagation, "the other node refuses the session", func() bool {
		return c.outcome(b, http.MethodGet, "/private", cookie) == "401 revoked"
	})
	storm.stop()
	if strings.Contains(b.logs.String(), "the storage fails") {
		t.Errorf("the other node could not look while %d sessions were revoked", revoked.Load())
	}
}

// While the storage is away, sessions open as long as the nodes may assume that they know what is revoked; tokens are good, but
// not for what they are good for once. All of it works again when the storage is back.
func TestClusterWithoutStorage(t *testing.T) {
	covers(t, 107)
	c := newCluster(t)
	nodes := c.startAll(2)
	cookie, token, kept, undone := c.mustSession(t, nodes[0], c.good()), c.good(), c.good(), c.good()
	out := c.mustSession(t, nodes[0], undone)
	for _, n := range nodes {
		c.check(t, "200", n, http.MethodGet, "/private", cookie)
	}
	giveBack := c.takeAway()
	away := time.Now()
	whatever := []struct{ want, method, path, header string }{
		{"200", http.MethodGet, "/private", token},
		{"503 ledger_unavailable", http.MethodGet, "/once", kept},
		{"503 ledger_unavailable", http.MethodPost, "/transfer", kept},
		{"503 ledger_unavailable", http.MethodGet, "/transfer", kept},
	}
	checkAway := func() {
		t.Helper()
		for _, n := range nodes {
			for _, row := range whatever {
				c.check(t, row.want, n, row.method, row.path, row.header)
			}
		}
	}

	for _, n := range nodes {
		c.check(t, "200", n, http.MethodGet, "/private", cookie)
	}
	checkAway()
	if status, err := c.admin(nodes[0], "/bws/revoke", fmt.Sprintf(`{"token":%q}`, bare(undone))); status != http.StatusServiceUnavailable {
		t.Errorf("revoking what cannot be stored: %d, %v", status, err)
	}
	c.check(t, "401 revoked", nodes[0], http.MethodGet, "/private", out)

	for _, n := range nodes {
		eventually(t, "sessions are refused", func() bool { return c.outcome(n, http.MethodGet, "/private", cookie) == "503 ledger_unavailable" })
		// The nodes had looked at the storage 5 s before it went away, or later.
		if took := time.Since(away); took < grace-6*time.Second || took > grace+3*time.Second {
			t.Errorf("sessions were refused after %s, want about %s", took, grace)
		}
		c.check(t, "200", n, http.MethodGet, "/private", cookie, token)
	}
	checkAway()

	giveBack()
	for _, n := range nodes {
		within(t, propagation, "sessions open again", func() bool { return c.outcome(n, http.MethodGet, "/private", cookie) == "200" })
	}
	c.check(t, "200", nodes[0], http.MethodGet, "/transfer", kept)
	c.check(t, "200", nodes[0], http.MethodGet, "/once", kept)
	for _, n := range nodes {
		c.check(t, "401 spent", n, http.MethodGet, "/once", kept)
	}
	c.check(t, "401 revoked", nodes[0], http.MethodGet, "/private", out)
}

const (
	turnovers = 5
	rotations = 100 // fewer than the nodes would refuse
)

// While keys are rotated, and while one takes over from another, no session and no token is denied.
func TestClusterRotates(t *testing.T) {
	covers(t, 60)
	c := newCluster(t)
	a := c.start()
	planted := c.plantKeys(t, turnovers)
	b := c.start() // it knows what has been planted, and the first node has yet to find out
	var sealedWith tally
	traffic := newCrew(t)
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		old := c.mustSession(t, pair[0], c.good())
		traffic.repeat(func() {
			cookie, err := c.session(pair[0], c.good())
			if err != nil {
				t.Error(err)
				return
			}
			sealedWith.add(sealingKey(cookie))
			for _, n := range pair {
				c.check(t, "200", n, http.MethodGet, "/private", old)
				c.check(t, "200", n, http.MethodGet, "/private", cookie)
			}
		})
	}
	rotated := 0
	eventually(t, "every key has been used", func() bool {
		if rotated < rotations {
			n := []*node{a, b}[rotated%2]
			if status, err := c.admin(n, "/bws/rotate", ""); status != http.StatusOK {
				t.Errorf("rotating: %d, %v", status, err)
			}
			rotated++
		}
		return t.Failed() || !slices.ContainsFunc(planted, func(id string) bool { return sealedWith.of(id) == 0 })
	})
	traffic.stop()
	t.Logf("%d rotations, sessions by key: %v", rotated, sealedWith.counts)
}

// plantKeys stores keys that take over from each other soon, one a second. Those that nodes make take over after minutes. It
// returns what sessions that are sealed with them begin with.
func (c *cluster) plantKeys(t *testing.T, count int) (beginnings []string) {
	t.Helper()
	soon := time.Now().Add(4 * time.Second)
	for i := range count {
		id := c.plantKey(t, "session", soon.Add(time.Duration(i)*time.Second))
		beginnings = append(beginnings, base64.RawURLEncoding.EncodeToString(append([]byte{1}, id[:]...)))
	}
	return beginnings
}

// sealingKey is the part of a session's cookie that names the key.
func sealingKey(cookie string) string {
	_, value, _ := strings.Cut(cookie, "=")
	return value[:12]
}

// However many nodes are asked at once, and however often, a token passes once at most; if nothing fails, once. BWS is asked
// about it by each node, though its answer is remembered.
func TestClusterSpendsOnce(t *testing.T) {
	covers(t, 54)
	const tries, crowd = 30, 80
	tokens := 1000
	if testing.Short() {
		tokens = 100
	}
	c := newCluster(t)
	nodes := c.startAll(3)
	var got tally
	inCrowd(crowd, tokens, func(i int) {
		token, path := c.good(), fmt.Sprintf("/transfer?%d", i)
		c.check(t, "200", nodes[i%len(nodes)], http.MethodGet, path, token) // spends nothing
		var rush sync.WaitGroup
		for try := range tries {
			rush.Go(func() { got.add(c.outcome(nodes[try%len(nodes)], http.MethodPost, path, token)) })
		}
		rush.Wait()
	})

	passed := c.passed(http.MethodPost)
	for path, times := range passed {
		if times > 1 {
			t.Errorf("the token of %s has passed %d times", path, times)
		}
	}
	t.Logf("%d tokens have passed, outcomes: %v", len(passed), got.counts)
	if len(passed) < tokens*95/100 || len(passed) != got.of("200") {
		t.Errorf("%d of %d tokens have passed, with %d answers", len(passed), tokens, got.of("200"))
	}
	if others := got.allBut("200", "401 spent", "503 ledger_unavailable"); len(others) > 0 {
		t.Errorf("there are other outcomes: %v", others)
	}
	if calls, want := c.service.Calls("/result"), tokens*(1+len(nodes)); calls < want {
		t.Errorf("BWS was asked %d times, want at least %d", calls, want)
	}
}
