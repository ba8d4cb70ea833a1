package assertion

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/ledger/ledgertest"
)

var alice = bws.BCID{Storage: "bioid", Partition: 9876, Class: 12345}

// node is one of those that share a storage, by a clock that moves only by hand.
type node struct {
	*ledgertest.Clock
	*Signer
	ledger *ledger.Ledger
}

func newNode(t testing.TB, storage *ledgertest.Memory, clock *ledgertest.Clock) *node {
	t.Helper()
	l := ledger.New(ledger.Config{Storage: storage, Now: clock.Now})
	n := &node{clock, NewSigner(l.Keys(ledger.Assertions), clock.Now), l}
	t.Cleanup(n.Close)
	return n
}

func newReadyNode(t testing.TB) *node {
	t.Helper()
	n := newNode(t, new(ledgertest.Memory), ledgertest.NewClock())
	n.sync(t)
	return n
}

func (n *node) sync(t testing.TB) {
	t.Helper()
	if err := n.ledger.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (n *node) sign(t testing.TB, s Statement) string {
	t.Helper()
	text, err := n.Sign(&s, n.Now())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verify returns the claims of an assertion and the id of its key, which the node must publish.
func (n *node) verify(t testing.TB, text string) (claims map[string]any, kid string) {
	t.Helper()
	signed, err := jose.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != Type || len(header.ExtraHeaders) != 1 || header.JSONWebKey != nil {
		t.Errorf("the header is %+v", header)
	}
	keys := n.PublicKeys(t.Context())
	found := keys.Key(header.KeyID)
	if len(found) != 1 {
		t.Fatalf("%d keys %s are published", len(found), header.KeyID)
	}
	payload, err := signed.Verify(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims, header.KeyID
}

func verification(now time.Time) Statement {
	s := Of([16]byte{1}, &evidence.Evidence{
		Action: bws.Verification, BCID: alice, Task: bws.TaskVerify | bws.TaskLiveDetect, Face: true, NotBefore: now.Add(-90 * time.Second),
	})
	s.Issuer, s.Audience, s.Method, s.Path, s.Lifetime = "https://app.example", "app.example", "GET", "/page", time.Minute
	return s
}

// A key is published before it signs, and for as long as anything that it has signed is good, on each node; whichever made it.
func TestRotation(t *testing.T) {
	storage, clock := new(ledgertest.Memory), ledgertest.NewClock()
	a, b := newNode(t, storage, clock), newNode(t, storage, clock)
	a.sync(t)
	b.sync(t)
	s := verification(clock.Now())
	s.Lifetime = ledger.LongestAssertion
	kids, good := make(map[string]bool), make(map[string]bool)
	for minute := range 80 {
		if minute%40 == 0 {
			clock.Advance(ledger.KeyRotation - 20*time.Minute)
		}
		clock.Advance(time.Minute)
		for _, n := range []*node{a, b} {
			n.sync(t)
			good[n.sign(t, s)] = true
		}
		for text := range good {
			claims, kid := a.verify(t, text)
			b.verify(t, text)
			kids[kid] = true
			if claims["exp"].(float64) <= float64(clock.Now().Add(time.Minute).Unix()) {
				delete(good, text)
			}
		}
	}
	if len(kids) != 3 {
		t.Errorf("%d keys were in use", len(kids))
	}
}

// Without a storage, nothing is signed that outlives what is published; in the end, nothing is signed at all.
func TestNoKey(t *testing.T) {
	n := newNode(t, new(ledgertest.Memory), ledgertest.NewClock())
	s := verification(n.Now())
	s.Lifetime = ledger.LongestAssertion
	if text, err := n.Sign(&s, n.Now()); !errors.Is(err, ledger.ErrNoKey) || text != "" {
		t.Errorf("got %q, %v", text, err)
	}
	if keys := n.PublicKeys(t.Context()).Keys; len(keys) != 0 {
		t.Errorf("published are %v", keys)
	}
	n.sync(t)
	key, err := n.ledger.Keys(ledger.Assertions).Current()
	if err != nil {
		t.Fatal(err)
	}
	n.Advance(key.OpenUntil.Add(-time.Minute).Sub(n.Now()))
	claims, _ := n.verify(t, n.sign(t, s))
	if claims["exp"] != float64(key.OpenUntil.Unix()) {
		t.Errorf("it ends at %v, and what is published at %d", claims["exp"], key.OpenUntil.Unix())
	}
	n.Advance(time.Minute)
	if text, err := n.Sign(&s, n.Now()); !errors.Is(err, ledger.ErrNoKey) || text != "" {
		t.Errorf("got %q, %v", text, err)
	}
}

// What is published verifies, and tells nothing of the secret.
func TestPublicKeys(t *testing.T) {
	n := newReadyNode(t)
	key, err := n.ledger.Keys(ledger.Assertions).Current()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(n.PublicKeys(context.Background()))
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	seed := key.Secret()
	public, err := json.Marshal(ed25519.NewKeyFromSeed(seed[:])[32:])
	if err != nil {
		t.Fatal(err)
	}
	x := strings.NewReplacer("+", "-", "/", "_", "=", "", `"`, "").Replace(string(public))
	want := []map[string]string{{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.ID.String(), "x": x}}
	if !reflect.DeepEqual(set.Keys, want) {
		t.Errorf("got  %v\nwant %v", set.Keys, want)
	}
}

func BenchmarkSign(b *testing.B) {
	n := newReadyNode(b)
	for name, change := range map[string]int64{"reused": 0, "signing": 1} {
		b.Run(name, func(b *testing.B) {
			s, now := verification(n.Now()), n.Now()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := n.Sign(&s, now); err != nil {
					b.Fatal(err)
				}
				s.Performed -= change
			}
		})
	}
}
