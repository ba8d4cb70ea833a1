package integration

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// try is an assertion for an independent implementation to verify.
type try struct {
	Assertion string `json:"assertion"`
	Issuer    string `json:"issuer"`
	Audience  string `json:"audience"`
}

// verdict is what came of it.
type verdict struct {
	KeyID  string         `json:"kid"`
	Claims map[string]any `json:"claims"`
	Error  string         `json:"error"`
}

// verify has node's jose verify assertions with the keys that a node of the cluster serves.
func (n *node) verify(t *testing.T, tries ...try) []verdict {
	t.Helper()
	input, err := json.Marshal(map[string]any{"jwks": n.url("/jwks.json"), "tries": tries})
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("testdata/assertions.mjs")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("node", "--input-type=module", "--eval", readFile(t, script))
	command.Dir = "../tools" // where jose is
	command.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("verifying needs node, and jose: install it with `npm ci --prefix tools` at the top of the repository: %v\n%s", err, stderr.String())
	}
	var verdicts []verdict
	if err := json.Unmarshal(output, &verdicts); err != nil || len(verdicts) != len(tries) {
		t.Fatalf("got %s: %v", output, err)
	}
	return verdicts
}

// assertion returns what the app gets from a node about a request.
func (c *cluster) assertion(t *testing.T, n *node, method, path string, headers ...string) try {
	t.Helper()
	c.app.take()
	c.check(t, "200", n, method, path, append(headers, "X-BWS-Assertion: forged", "x_bws_assertion: forged")...)
	reached := c.app.take()
	if len(reached) != 1 || len(reached[0].Header["X-Bws-Assertion"]) != 1 || reached[0].Header["X_bws_assertion"] != nil {
		t.Fatalf("the app got %v", reached)
	}
	return try{reached[0].Header["X-Bws-Assertion"][0], "http://" + n.Addr, "127.0.0.1"}
}

// Whichever node has signed, and with whichever key, any node serves what verifies it; across a rotation, too.
func TestClusterAssertions(t *testing.T) {
	c := newCluster(t)
	nodes := c.startAll(2)
	sessions := []string{c.mustSession(t, nodes[0], c.good()), c.mustSession(t, nodes[1], c.good())}
	both := func(path string) (tries []try) {
		for _, n := range nodes {
			for _, session := range sessions {
				tries = append(tries, c.assertion(t, n, http.MethodGet, "/private/signed"+path+"?a=b", session))
			}
		}
		return tries
	}
	// checkAll has both nodes' keys verify all, and returns with which keys.
	checkAll := func(tries []try, path string) map[string]bool {
		t.Helper()
		keys := make(map[string]bool)
		for _, n := range nodes {
			for i, got := range n.verify(t, tries...) {
				keys[got.KeyID] = true
				switch c := got.Claims; {
				case got.Error != "":
					t.Errorf("%v: %s", tries[i], got.Error)
				case c["sub"] != alice.String(), c["act"] != "verification", c["live"] != true, fmt.Sprint(c["amr"]) != "[face]",
					c["method"] != "GET", c["path"] != "/private/signed"+path, c["exp"] != c["iat"].(float64)+60:
					t.Errorf("got %v", c)
				}
			}
		}
		return keys
	}
	before := both("/before")
	old := checkAll(before, "/before")

	id := c.plantKey(t, "assertion", time.Now().Add(5*time.Second))
	next := hex.EncodeToString(id[:])
	within(t, 3*time.Second, "both nodes serve the next key", func() bool {
		for _, n := range nodes {
			if got := do(t, http.MethodGet, n.url("/jwks.json")); !strings.Contains(got.Body, next) {
				return false
			}
		}
		return true
	})
	if keys := checkAll(both("/meanwhile"), "/meanwhile"); keys[next] {
		t.Error("the next key is used at once")
	}
	after := 0
	eventually(t, "both nodes sign with the next key", func() bool {
		after++
		keys := checkAll(both(fmt.Sprint("/after", after)), fmt.Sprint("/after", after))
		return len(keys) == 1 && keys[next]
	})
	for kid := range checkAll(before, "/before") {
		if !old[kid] {
			t.Errorf("what was signed before is signed with %s", kid)
		}
	}
}

// What an independent implementation refuses of our assertions is what was not meant for it.
func TestAssertionsAreRefused(t *testing.T) {
	c := newCluster(t)
	n := c.start()
	good := c.assertion(t, n, http.MethodGet, "/private/signed", c.good())
	parts := strings.Split(good.Assertion, ".")
	with := func(edit func(*try)) try {
		changed := good
		edit(&changed)
		return changed
	}
	tries := []try{
		good,
		with(func(t *try) { t.Issuer = "http://other.example" }),
		with(func(t *try) { t.Audience = "other.example" }),
		with(func(t *try) { t.Assertion = parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])) }),
		with(func(t *try) { t.Assertion = "eyJhbGciOiJub25lIn0." + parts[1] + "." }),
	}
	for i, want := range []string{
		"", "ERR_JWT_CLAIM_VALIDATION_FAILED", "ERR_JWT_CLAIM_VALIDATION_FAILED", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "ERR_JOSE_ALG_NOT_ALLOWED",
	} {
		if got := n.verify(t, tries[i])[0]; got.Error != want {
			t.Errorf("%d: got %v, want %q", i, got, want)
		}
	}
}
