package caddybws

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

var (
	onlyOnce = Gate{Once: &Once{}}
	oncePost = Gate{Once: &Once{Methods: []string{http.MethodPost}}}
	onceGet  = Gate{Once: &Once{Methods: []string{http.MethodGet}}}
)

func keyOf(token string) [32]byte              { return verifier.KeyOf(token) }
func personOf(person bws.BCID) evidence.Person { return evidence.PersonOf(person) }

func method(name string, headers ...string) *http.Request {
	r := get(headers...)
	r.Method = name
	return r
}

func post(headers ...string) *http.Request { return method(http.MethodPost, headers...) }

// Security case 54. Each row is a first request, what it spends, and a second one with the same token.
func TestOnce(t *testing.T) {
	for name, test := range map[string]struct {
		gate          Gate
		first, second string
		reason        string
	}{
		"twice":             {onlyOnce, http.MethodGet, http.MethodGet, "spent"},
		"another method":    {onlyOnce, http.MethodGet, http.MethodPost, "spent"},
		"look, then post":   {oncePost, http.MethodGet, http.MethodPost, ""},
		"look and look":     {oncePost, http.MethodGet, http.MethodGet, ""},
		"post and post":     {oncePost, http.MethodPost, http.MethodPost, "spent"},
		"post, then look":   {oncePost, http.MethodPost, http.MethodGet, "spent"},
		"head spends a get": {onceGet, http.MethodHead, http.MethodGet, "spent"},
		"post spends none":  {onceGet, http.MethodPost, http.MethodGet, ""},
		"only reporting":    {reporting(onlyOnce), http.MethodGet, http.MethodGet, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			g, token := s.gate(t, test.gate), "X-BWS-Token: "+s.goodToken()
			send(t, method(test.first, token), g).checkAllowed(t)
			o := send(t, method(test.second, token), g)
			if test.reason != "" {
				o.checkDenied(t, http.StatusUnauthorized, test.reason)
				return
			}
			o.checkAllowed(t)
			o.checkPlaceholders(t, map[string]string{"http.bws.decision": "allow"})
		})
	}
}

// Of requests at the same time, and on two nodes, one passes.
func TestOnceOnTwoNodes(t *testing.T) {
	s := newSite(t)
	storage := new(ledgertest.Memory)
	var nodes []*Gate
	for range 2 {
		service := newService(t, inProcess{s.Service}, s.service.now)
		service.ledger = ledger.New(ledger.Config{Storage: storage, ServiceID: service.identity, Now: s.service.now})
		nodes = append(nodes, provision(t, onlyOnce, service))
	}
	token := s.goodToken()
	allowed := make(chan bool)
	const each = 20
	for _, node := range nodes {
		for range each {
			go func() { allowed <- send(t, get("X-BWS-Token: "+token), node).app != nil }()
		}
	}
	passed := 0
	for range each * len(nodes) {
		if <-allowed {
			passed++
		}
	}
	if passed != 1 {
		t.Errorf("%d requests have passed", passed)
	}
	send(t, get("X-BWS-Token: "+token), provision(t, oncePost, nodes[1].service)).checkDenied(t, http.StatusUnauthorized, "spent")
}

// Security case 45: a request that spends does not rely on what is remembered.
func TestOnceAsksAfresh(t *testing.T) {
	s := newSite(t)
	token := s.goodToken()
	send(t, get("X-BWS-Token: "+token), s.gate(t, Gate{})).checkAllowed(t)
	s.Perform(token, bwstest.Outcome{Error: bws.LiveDetectionFailed})
	send(t, get("X-BWS-Token: "+token), s.gate(t, Gate{})).checkAllowed(t)
	send(t, post("X-BWS-Token: "+token), s.gate(t, oncePost)).checkDenied(t, http.StatusForbidden, "live_detection_failed")
	send(t, get("X-BWS-Token: "+token), s.gate(t, Gate{})).checkDenied(t, http.StatusForbidden, "live_detection_failed")
}

// Security case 123: what nobody may want yet, or may come twice, spends nothing and reaches nobody.
func TestTooEarly(t *testing.T) {
	early := &tls.ConnectionState{HandshakeComplete: false}
	for name, test := range map[string]struct {
		header string
		tls    *tls.ConnectionState
		gate   Gate
		early  bool
	}{
		"prefetch":              {"Sec-Purpose: prefetch", nil, onlyOnce, true},
		"prerender":             {"Sec-Purpose: prefetch;prerender", nil, onlyOnce, true},
		"prefetch, older":       {"Purpose: prefetch", nil, onlyOnce, true},
		"prefetch, oldest":      {"X-Moz: Prefetch", nil, onlyOnce, true},
		"early data":            {"Early-Data: 1", nil, onlyOnce, true},
		"early data, here":      {"A: b", early, onlyOnce, true},
		"nothing of the kind":   {"Sec-Purpose: other", nil, onlyOnce, false},
		"prefetch of a look":    {"Sec-Purpose: prefetch", nil, oncePost, false},
		"prefetch without once": {"Sec-Purpose: prefetch", nil, Gate{}, false},
		"prefetch, reported":    {"Sec-Purpose: prefetch", nil, reporting(onlyOnce), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			g, token := s.gate(t, test.gate), "X-BWS-Token: "+s.goodToken()
			r := get(token, test.header)
			r.TLS = test.tls
			o := send(t, r, g)
			if !test.early {
				o.checkAllowed(t)
				return
			}
			o.checkDenied(t, http.StatusTooEarly, "too_early")
			if calls := s.Calls("/result"); calls != 0 {
				t.Errorf("BWS was asked %d times", calls)
			}
			send(t, get(token), g).checkAllowed(t)
		})
	}
}

// A token is not spent by a request that is denied for another reason.
func TestDenialSpendsNothing(t *testing.T) {
	s := newSite(t)
	token := s.goodToken()
	bobs := onlyOnce
	bobs.BCID = []string{bob.String()}
	send(t, get("X-BWS-Token: "+token), s.gate(t, bobs)).checkDenied(t, http.StatusForbidden, "bcid_not_allowed")
	send(t, get("X-BWS-Token: "+token), s.gate(t, onlyOnce)).checkAllowed(t)
}

// Two gates on one request spend its token once.
func TestOnceInTwoGates(t *testing.T) {
	s := newSite(t)
	token := "X-BWS-Token: " + s.goodToken()
	send(t, get(token), s.gate(t, onlyOnce), s.gate(t, onlyOnce), s.gate(t, Gate{})).checkAllowed(t)
	send(t, get(token), s.gate(t, Gate{}), s.gate(t, onlyOnce)).checkDenied(t, http.StatusUnauthorized, "spent")

	// The first only looks.
	token = "X-BWS-Token: " + s.goodToken()
	send(t, get(token), s.gate(t, oncePost), s.gate(t, onlyOnce)).checkAllowed(t)
	send(t, get(token), s.gate(t, oncePost)).checkDenied(t, http.StatusUnauthorized, "spent")
}

// A session is no evidence where a token is good for one request.
func TestSessionDoesNotSpend(t *testing.T) {
	s := newSite(t)
	siteWide := s.gate(t, keeping)
	cookie := s.begin(t, siteWide)
	send(t, get(cookie), siteWide, s.gate(t, onlyOnce)).checkDenied(t, http.StatusUnauthorized, "no_token")
	send(t, get(cookie), s.gate(t, onlyOnce)).checkDenied(t, http.StatusUnauthorized, "no_token")
}

func TestOnceWithoutStorage(t *testing.T) {
	s := newSite(t)
	faulty := ledgertest.NewFaulty(new(ledgertest.Memory))
	s.service.ledger = ledger.New(ledger.Config{Storage: faulty, ServiceID: s.service.identity, Now: s.service.now})
	faulty.Set(ledgertest.Failing())
	for _, gate := range []Gate{onlyOnce, oncePost} {
		send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, gate)).checkDenied(t, http.StatusServiceUnavailable, "ledger_unavailable")
	}
	send(t, get("X-BWS-Token: "+s.goodToken()), s.gate(t, reporting(onlyOnce))).checkAllowed(t)
}

// Security case 21: an app must not take the GET that spends nothing for the POST that does.
func TestMethodOverrides(t *testing.T) {
	s := newSite(t)
	forged := []string{
		"X-BWS-Token: " + s.goodToken(), "X-HTTP-Method-Override: POST", "X-HTTP-Method: POST", "X-Method-Override: POST",
		"X_http.method-override: POST", "Connection: close, X-Method-Override", "X-Method: POST",
	}
	o := send(t, get(forged...), s.gate(t, oncePost))
	o.checkAllowed(t)
	for name := range o.app.Header {
		if fold(name) != "x-method" && fold(name) != "connection" && fold(name)[:3] != "x-b" {
			t.Errorf("the app gets %s: %q", name, o.app.Header[name])
		}
	}
	if got := o.app.Header.Get("Connection"); got != "close" {
		t.Errorf("the app gets Connection: %s", got)
	}
	send(t, get(forged...), s.gate(t, Gate{})).checkAllowed(t)
}

// A token that has ended cannot be spent, whatever the clocks say.
func TestOnceAtTheEnd(t *testing.T) {
	s := newSite(t)
	token := s.goodToken()
	s.pass(bwstest.DefaultLifetime - time.Second)
	g := s.gate(t, onlyOnce)
	send(t, get("X-BWS-Token: "+token), g).checkAllowed(t)
	s.pass(time.Hour)
	send(t, get("X-BWS-Token: "+token), g).checkDenied(t, http.StatusUnauthorized, "expired_token")
}
