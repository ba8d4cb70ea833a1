package caddybws

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"pgregory.net/rapid"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/session"
)

// sessionModel is what two nodes with one storage must agree on about the sessions that they have begun.
type sessionModel struct {
	t       *testing.T
	site    *site
	nodes   []*Gate
	cookies []modelCookie
	// revoked is when a token or a person was revoked, everything under "".
	revoked map[string]time.Time
}

// modelCookie is a cookie that was issued, which a thief may have kept.
type modelCookie struct {
	cookie         string
	token, person  string
	issued         time.Time // the token
	begun, renewed time.Time
}

const (
	modelLifetime = time.Hour
	modelIdle     = 10 * time.Minute
)

func newSessionModel(t *testing.T) *sessionModel {
	m := &sessionModel{t: t, site: newSite(t), revoked: make(map[string]time.Time)}
	storage := new(ledgertest.Memory)
	for range 2 {
		s := newService(t, inProcess{m.site.Service}, m.site.clock.Now)
		s.ledger = ledger.New(ledger.Config{Storage: storage, ServiceID: s.identity, Now: m.site.clock.Now})
		m.nodes = append(m.nodes, provision(t, Gate{
			Session: &Session{Lifetime: caddy.Duration(modelLifetime), Idle: caddy.Duration(modelIdle)},
		}, s))
	}
	m.sync()
	return m
}

func (m *sessionModel) sync() {
	for _, node := range m.nodes {
		if err := node.service.ledger.Sync(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *sessionModel) node(t *rapid.T) *Gate { return rapid.SampledFrom(m.nodes).Draw(t, "node") }

// isRevoked is by the words of the contract: a token with its session at any time, a person and everything for what was issued
// before, to the second.
func (m *sessionModel) isRevoked(c *modelCookie) bool {
	if _, ok := m.revoked[c.token]; ok {
		return true
	}
	for _, whose := range []string{c.person, ""} {
		if at, ok := m.revoked[whose]; ok && c.issued.Unix() <= at.Unix() {
			return true
		}
	}
	return false
}

func (m *sessionModel) begin(t *rapid.T) {
	person := rapid.SampledFrom([]bws.BCID{alice, bob}).Draw(t, "person")
	now := m.site.clock.Now()
	c := modelCookie{
		token:  m.site.Token(bwstest.TokenSpec{BCID: person}),
		person: person.String(), issued: now, begun: now, renewed: now,
	}
	m.site.Perform(c.token, bwstest.Outcome{Success: true})
	m.present(t, c)
}

// present presents the token of a cookie, which begins its session, however often.
func (m *sessionModel) present(t *rapid.T, c modelCookie) {
	o := send(m.t, get("X-BWS-Token: "+c.token), m.node(t))
	if m.isRevoked(&c) {
		if o.app != nil {
			t.Fatal("a revoked token passes")
		}
		return
	}
	c.cookie = o.session(m.t)
	m.cookies = append(m.cookies, c)
}

func (m *sessionModel) use(t *rapid.T) {
	if len(m.cookies) == 0 {
		t.Skip("no session")
	}
	c := rapid.SampledFrom(m.cookies).Draw(t, "cookie")
	now := m.site.clock.Now()
	o := send(m.t, get(c.cookie), m.node(t))
	good := now.Sub(c.begun) < modelLifetime && now.Sub(c.renewed) < modelIdle && !m.isRevoked(&c)
	if got := o.app != nil; got != good {
		t.Fatalf("passes: %v, want %v: begun %s and renewed %s ago, revoked %v: %s",
			got, good, now.Sub(c.begun), now.Sub(c.renewed), m.isRevoked(&c), o.Body)
	}
	if renewed := o.cookies(m.t)[plainSessionCookie]; renewed != nil {
		c.cookie, c.renewed = "Cookie: bws_session="+renewed.Value, now
		m.cookies = append(m.cookies, c)
	}
}

func (m *sessionModel) again(t *rapid.T) {
	if len(m.cookies) == 0 {
		t.Skip("no session")
	}
	c := rapid.SampledFrom(m.cookies).Draw(t, "cookie")
	now := m.site.clock.Now()
	if now.Sub(c.issued) >= bwstest.DefaultLifetime {
		t.Skip("the token has ended")
	}
	c.begun, c.renewed = now, now
	m.present(t, c)
}

func (m *sessionModel) revoke(t *rapid.T) {
	if len(m.cookies) == 0 {
		t.Skip("no session")
	}
	c := rapid.SampledFrom(m.cookies).Draw(t, "cookie")
	whose := rapid.SampledFrom([]string{c.token, c.token, c.token, c.person, ""}).Draw(t, "whose")
	subject := ledger.OfService()
	switch whose {
	case c.token:
		subject = ledger.OfSession(session.IDOf(keyOf(c.token)))
	case c.person:
		person, _ := bws.ParseBCID(c.person)
		subject = ledger.OfPerson(personOf(person))
	}
	if err := m.node(t).service.ledger.Revoke(m.t.Context(), subject); err != nil {
		t.Fatal(err)
	}
	m.revoked[whose] = m.site.clock.Now()
	m.sync()
}

func (m *sessionModel) rotate(t *rapid.T) {
	if _, err := m.node(t).service.ledger.Keys(ledger.Sessions).Rotate(m.t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (m *sessionModel) advance(t *rapid.T) {
	steps := []time.Duration{time.Second, time.Minute, modelIdle / 2, modelIdle - time.Second, modelIdle, modelLifetime - time.Second, 25 * time.Hour}
	m.site.pass(rapid.SampledFrom(steps).Draw(t, "step"))
	m.sync()
}

// Nothing opens after its end or its revocation, and everything until then, on both nodes and whatever happens to the keys.
func TestSessionsAreGoodUntilTheirEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newSessionModel(t)
		rt.Repeat(map[string]func(*rapid.T){
			"begin": m.begin, "use": m.use, "use more": m.use, "again": m.again, "revoke": m.revoke, "rotate": m.rotate, "advance": m.advance,
		})
	})
}

// What is opened has been sealed: any other value of the cookie is denied, and none makes the gate panic.
func FuzzSessionCookie(f *testing.F) {
	s := newSite(f)
	g := s.gate(f, keeping)
	cookie := s.begin(f, g)
	for _, value := range []string{cookie[len("Cookie: "):], "bws_session=", "bws_session=AUCK; bws_session=AUCL", "bws_session=\x00", "bws_session=\"a\""} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := get()
		r.Header["Cookie"] = []string{line}
		o := send(t, r, g)
		if o.app == nil && o.Code != http.StatusUnauthorized && o.Code != http.StatusBadRequest {
			t.Errorf("%q: got %d %s", line, o.Code, o.Body)
		}
		value, _ := (TokenSource{Cookie: plainSessionCookie}).find([]string{line})
		if o.app != nil && "Cookie: bws_session="+value != cookie {
			t.Errorf("%q passes", line)
		}
	})
}
