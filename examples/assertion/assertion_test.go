package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	site = "https://shop.example"
	me   = "urn:shop"
)

// gate is what signs in the place of a gate: with any header and any claims.
type gate struct {
	*httptest.Server
	public  ed25519.PublicKey
	private ed25519.PrivateKey
	kid     string
	asked   atomic.Int32
}

func newGate(t *testing.T) *gate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{public: public, private: private, kid: "0123456789abcdef"}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		g.asked.Add(1)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: []byte("another kind of key, which is none of ours"), KeyID: "other", Algorithm: "HS256"},
			{Key: g.public, KeyID: g.kid, Algorithm: "EdDSA", Use: "sig"},
		}})
	}))
	t.Cleanup(g.Close)
	return g
}

// object is a JSON object of which parts are left out or changed.
type object map[string]any

func (o object) with(name string, value any) object {
	changed := maps.Clone(o)
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	return changed
}

func (o object) part(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func (g *gate) header() object {
	return object{"alg": "EdDSA", "typ": "bws-assertion+jwt", "kid": g.kid}
}

func (g *gate) claims() object {
	now := time.Now().Unix()
	return object{
		"iss": site, "aud": me, "sub": "bws/1/42", "iat": now, "nbf": now, "exp": now + 60, "jti": "x", "act": "verification",
		"age": 12, "live": true, "amr": []string{"face"}, "method": "GET", "path": "/page",
	}
}

func (g *gate) sign(t *testing.T, header, claims object) string {
	t.Helper()
	text := header.part(t) + "." + claims.part(t)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(g.private, []byte(text)))
}

// hmacWith signs with the public key, for an app that would take it for a secret that it shares with the gate.
func (g *gate) hmacWith(t *testing.T, key []byte) string {
	t.Helper()
	text := g.header().with("alg", "HS256").part(t) + "." + g.claims().part(t)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ask sends a request with assertions to an app.
func ask(t *testing.T, app, method, path string, assertions ...string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, app+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["X-Bws-Assertion"] = assertions
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, string(text)
}

// startGo starts the app in Go.
func startGo(t *testing.T, g *gate) string {
	t.Helper()
	app := httptest.NewServer(newApp(&verifier{issuer: site, audience: me, keys: &keySet{url: g.URL}, now: time.Now}))
	t.Cleanup(app.Close)
	return app.URL
}

// startPHP starts the app in PHP.
func startPHP(t *testing.T, g *gate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	php := exec.Command("php", "-S", addr, "app.php")
	php.Env = append(os.Environ(), "ISSUER="+site, "AUDIENCE="+me, "KEYS_URL="+g.URL, "TMPDIR="+t.TempDir())
	var log bytes.Buffer
	php.Stdout, php.Stderr = &log, &log
	if err := php.Start(); err != nil {
		t.Fatalf("the example needs PHP's command line: install php-cli: %v", err)
	}
	t.Cleanup(func() {
		_ = php.Process.Kill()
		_ = php.Wait()
		if t.Failed() || strings.Contains(log.String(), "PHP ") && strings.Contains(log.String(), "Warning") {
			t.Errorf("PHP's log:\n%s", log.String())
		}
	})
	for range 600 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return "http://" + addr
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("PHP does not listen")
	return ""
}

// Both apps let in with a genuine assertion for this very request, and with nothing else.
func TestApps(t *testing.T) {
	g, stranger := newGate(t), newGate(t)
	header, claims := g.header(), g.claims()
	good := g.sign(t, header, claims)
	signed, payload, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(payload, ".")
	pem := []byte("-----BEGIN PUBLIC KEY-----\n" + base64.StdEncoding.EncodeToString(g.public) + "\n-----END PUBLIC KEY-----\n")
	x := base64.RawURLEncoding.EncodeToString(g.public)
	changed := func(name string, value any) string { return g.sign(t, header, claims.with(name, value)) }
	under := func(name string, value any) string { return g.sign(t, header.with(name, value), claims) }
	now := time.Now().Unix()

	refused := map[string]string{
		"empty":            "",
		"not a JWT":        "hello",
		"two parts":        signed + "." + payload,
		"four parts":       good + "." + signature,
		"no signature":     signed + "." + payload + ".",
		"another's":        signed + "." + claims.with("sub", "bws/1/43").part(t) + "." + signature,
		"a longer one":     good + "AA",
		"padded":           good + "==",
		"too long a one":   changed("sub", strings.Repeat("x", 9000)),
		"other algorithm":  under("alg", "ES256"),
		"none":             header.with("alg", "none").part(t) + "." + payload + ".",
		"None":             header.with("alg", "None").part(t) + "." + payload + "." + signature,
		"no algorithm":     under("alg", nil),
		"HMAC, raw key":    g.hmacWith(t, g.public),
		"HMAC, base64 key": g.hmacWith(t, []byte(x)),
		"HMAC, PEM key":    g.hmacWith(t, pem),
		"HMAC, no key":     g.hmacWith(t, nil),

		"for something else": under("typ", "JWT"),
		"for nothing":        under("typ", nil),
		"a demand":           under("crit", []string{"bws"}),
		"no key":             under("kid", nil),
		"an unknown key":     under("kid", "fedcba9876543210"),
		"a key of another":   under("kid", "other"),
		"an odd key":         under("kid", 7),
		"another gate":       stranger.sign(t, header, claims),
		"its own key": stranger.sign(t, header.with("kid", "mine").with("jwk", object{
			"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "mine", "x": base64.RawURLEncoding.EncodeToString(stranger.public),
		}), claims),
		"keys of its own": stranger.sign(t, header.with("kid", "mine").with("jku", stranger.URL), claims),
		"a certificate":   stranger.sign(t, header.with("kid", "mine").with("x5u", stranger.URL), claims),

		"other site":              changed("iss", "https://evil.example"),
		"over http":               changed("iss", "http://shop.example"),
		"no site":                 changed("iss", nil),
		"other audience":          changed("aud", "urn:other"),
		"longer audience":         changed("aud", me+"s"),
		"no audience":             changed("aud", nil),
		"expired":                 changed("exp", now-10),
		"not yet":                 changed("nbf", now+60),
		"without an end":          changed("exp", nil),
		"without a start":         changed("nbf", nil),
		"signed nobody says when": changed("iat", nil),
		"other method":            changed("method", "POST"),
		"no method":               changed("method", nil),
		"other path":              changed("path", "/other"),
		"path below":              changed("path", "/page/"),
		"no path":                 changed("path", nil),
		"enrollment":              changed("act", "enrollment"),
		"no operation":            changed("act", nil),
		"nobody":                  changed("sub", nil),
		"perhaps a picture":       changed("live", false),
		"not said to live":        changed("live", nil),
		"live as a text":          changed("live", "true"),
		"not an object":           signList(t, g, header),
		"JSON serialization":      `{"payload":"` + payload + `","signatures":[{"protected":"` + signed + `","signature":"` + signature + `"}]}`,
	}
	for name, start := range map[string]func(*testing.T, *gate) string{"Go": startGo, "PHP": startPHP} {
		t.Run(name, func(t *testing.T) {
			app := start(t, g)
			want := name + ": bws/1/42, by the face: true, 1"
			if status, body := ask(t, app, http.MethodGet, "/page?a=1", good); status != http.StatusOK || !strings.HasPrefix(body, want) {
				t.Fatalf("a genuine assertion: got %d %s, want %s", status, body, want)
			}
			for what, text := range map[string]string{
				"a moment late": changed("exp", now-1), "a moment early": changed("nbf", now+2), "without amr": changed("amr", nil),
				"ignored key": under("jku", stranger.URL),
			} {
				if status, body := ask(t, app, http.MethodGet, "/page", text); status != http.StatusOK {
					t.Errorf("%s: got %d %s", what, status, body)
				}
			}
			for what, text := range refused {
				if status, body := ask(t, app, http.MethodGet, "/page", text); status != http.StatusUnauthorized {
					t.Errorf("%s: got %d %s", what, status, body)
				}
			}
			for what, try := range map[string]func() (int, string){
				"none at all":                func() (int, string) { return ask(t, app, http.MethodGet, "/page") },
				"two":                        func() (int, string) { return ask(t, app, http.MethodGet, "/page", good, good) },
				"replayed to another path":   func() (int, string) { return ask(t, app, http.MethodGet, "/admin", good) },
				"replayed to a path like it": func() (int, string) { return ask(t, app, http.MethodGet, "/pag%65", good) },
				"replayed with a method":     func() (int, string) { return ask(t, app, http.MethodPost, "/page", good) },
			} {
				if status, body := try(); status != http.StatusUnauthorized {
					t.Errorf("%s: got %d %s", what, status, body)
				}
			}
			if n := stranger.asked.Load(); n > 0 {
				t.Errorf("the app has asked for keys where an assertion told it to, %d times", n)
			}
			if n := g.asked.Load(); n > 10 {
				t.Errorf("the app has asked for keys %d times", n)
			}
			g.asked.Store(0)
		})
	}
}

func signList(t *testing.T, g *gate, header object) string {
	t.Helper()
	text := header.part(t) + "." + base64.RawURLEncoding.EncodeToString([]byte(`["sub"]`))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(g.private, []byte(text)))
}

// A key that is new is found without waiting for the old ones to be forgotten.
func TestNewKey(t *testing.T) {
	g := newGate(t)
	now := time.Now()
	keys := &keySet{url: g.URL}
	find := func(kid string, want bool) {
		t.Helper()
		if _, known := keys.find(t.Context(), kid, now); known != want {
			t.Errorf("key %s is known: %v, want %v", kid, known, want)
		}
	}
	find(g.kid, true)
	old := g.kid
	g.kid = "next"
	find("next", false)
	now = now.Add(again)
	find("next", true)
	find(old, false)
	g.Close()
	now = now.Add(keep)
	find("next", true)
}
