package integration

import (
	"bytes"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Every example is formatted, loads, and has a twin in JSON that loads too.
func TestExampleFiles(t *testing.T) {
	t.Setenv("BWS_APP_ID", "id")
	t.Setenv("BWS_APP_SECRET", "secret")
	folders, err := filepath.Glob("../examples/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("found %d examples: %v", len(folders), err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			caddyfile, twin := filepath.Join(folder, "Caddyfile"), filepath.Join(folder, "caddy.json")
			if text := readFile(t, caddyfile); !strings.HasPrefix(text, "# ") {
				t.Error("the example does not begin with a comment on what it shows")
			}
			if adapted := caddy(t, "adapt", "--pretty", "--config", caddyfile); adapted != readFile(t, twin) {
				t.Errorf("the twin is out of date: caddy adapt --pretty --config %s >%s", caddyfile, twin)
			}
			caddy(t, "validate", "--config", caddyfile)
			caddy(t, "validate", "--config", twin)
		})
	}
}

func TestQuickstartExample(t *testing.T) {
	e := startExample(t, "quickstart")
	e.wants(e.get(), http.StatusUnauthorized, "no_token")

	token := e.token("bws/1/42")
	cookies := "Cookie: bws_token=" + token + "; theme=dark"
	pending := e.get(cookies)
	e.wants(pending, http.StatusUnauthorized, "pending")
	if pending.Header.Get("Retry-After") == "" {
		t.Error("a pending operation is denied without Retry-After")
	}

	e.perform(token)
	allowed := e.get(cookies, "X-BWS-BCID: bws/1/1")
	e.wants(allowed, http.StatusOK, "")
	want := "Hello from the app. It received\nX-BWS-BCID: bws/1/42\nX-BWS-Action: verification\nX-BWS-Verified-At: 20"
	if !strings.HasPrefix(allowed.Body, want) || !strings.HasSuffix(allowed.Body, "\nCookie: theme=dark\n") {
		t.Errorf("the app received\n%s", allowed.Body)
	}

	e.choose(`{"bcid": "bws/1/42", "success": false, "error": "LiveDetectionFailed"}`)
	e.perform(token)
	e.wants(e.get(cookies), http.StatusForbidden, "live_detection_failed")
}

func TestPHPExample(t *testing.T) {
	startPHP(t)
	e := startExample(t, "php")
	for _, tt := range []struct{ bcid, want string }{
		{"bws/1/42", "Guest book administration, logged in as alice\n"},
		{"bws/1/43", "Guest book administration, logged in as bob\n"},
		{"bws/1/44", "Nobody is logged in.\n"},
	} {
		got := e.get("X-BWS-Token: "+e.verified(tt.bcid), "Remote-User: root", "Remote_User: root")
		if got.Body != tt.want {
			t.Errorf("%s: the app answered %q, want %q", tt.bcid, got.Body, tt.want)
		}
	}
	e.wants(e.get("Remote-User: alice"), http.StatusUnauthorized, "no_token")
	e.wants(e.get("X-BWS-Token: "+e.token("bws/1/42"), "Remote-User: alice"), http.StatusUnauthorized, "pending")
}

func TestBasicAuthExample(t *testing.T) {
	covers(t, 106)
	e := startExample(t, "basic-auth")
	alice, bob := e.verified("bws/1/42"), e.verified("bws/1/43")
	for _, tt := range []struct {
		name, user, token string
		status            int
		reason            string
	}{
		{"alice herself", "alice", alice, http.StatusOK, ""},
		{"bob himself", "bob", bob, http.StatusOK, ""},
		{"alice's password, bob's face", "alice", bob, http.StatusForbidden, "bcid_not_allowed"},
		{"bob's password, alice's face", "bob", alice, http.StatusForbidden, "bcid_not_allowed"},
		{"alice's password, no face", "alice", "", http.StatusUnauthorized, "no_token"},
		{"a user without a person", "carol", alice, http.StatusForbidden, "bcid_not_allowed"},
		{"no password, alice's face", "", alice, http.StatusUnauthorized, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.Addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.user != "" {
				r.SetBasicAuth(tt.user, tt.user+"-demo")
			}
			r.Header.Set("X-BWS-Token", tt.token)
			got := send(t, r)
			if got.StatusCode != tt.status || got.reason() != tt.reason {
				t.Errorf("status %d with reason %q, want %d with %q", got.StatusCode, got.reason(), tt.status, tt.reason)
			}
		})
	}
}

// The production example needs a domain and a real service; here it has neither, and is otherwise as it is.
func TestProductionExample(t *testing.T) {
	covers(t, 7)
	t.Setenv("BWS_APP_ID", bwstest.AppID)
	t.Setenv("BWS_APP_SECRET", bwstest.AppSecret)
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	e := &example{&caddyProcess{t: t, Addr: freeAddr(t)}}
	e.run(strings.NewReplacer(
		"\n{\n\tbws {\n", "\n{\n\tadmin off\n\tbws {\n\t\tendpoint "+service.URL+"\n",
		"\napp.example.com {", "\nhttp://"+e.Addr+" {",
		"127.0.0.1:8081", strings.TrimPrefix(app.URL, "http://"),
	).Replace(readFile(t, "../examples/production/Caddyfile")))

	alice := "Authorization: Basic " + basicAuth("alice", "alice-demo")
	for _, path := range []string{"/", "/admin", "/index.php", "/health/", "/health/../admin", "/health%2fx", "/index.php?page=/health"} {
		e.wants(do(t, http.MethodGet, "http://"+e.Addr+path), http.StatusUnauthorized, "")
		e.wants(do(t, http.MethodGet, "http://"+e.Addr+path, alice), http.StatusUnauthorized, "no_token")
	}
	page := do(t, http.MethodGet, "http://"+e.Addr+"/admin", "Accept: text/html", alice)
	to := page.Header.Get("Location")
	if page.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "https://www.bioid.com/bws/performtask?access_token=") {
		t.Errorf("a browser got status %d to %q", page.StatusCode, to)
	}
	if n := len(app.take()); n > 0 {
		t.Errorf("%d denied requests reached the app", n)
	}

	do(t, http.MethodGet, "http://"+e.Addr+"/health", "X-BWS-BCID: bws/1/42")
	token := goodOf(service.Service, bws.BCID{Storage: "bws", Partition: 1, Class: 42})
	e.wants(do(t, http.MethodGet, "http://"+e.Addr+"/admin", "X-BWS-Token: "+token, alice), http.StatusOK, "")
	requests := app.take()
	if len(requests) != 2 {
		t.Fatalf("%d requests reached the app, want /health and /admin", len(requests))
	}
	for i, want := range []struct{ page, bcid string }{{"/health", ""}, {"/admin", "bws/1/42"}} {
		r := requests[i]
		if r.URL.Path != "/index.php" || r.URL.Query().Get("page") != want.page || r.Header.Get("X-BWS-BCID") != want.bcid {
			t.Errorf("the app got %s for %q, want page %s for %q", r.URL, r.Header.Get("X-BWS-BCID"), want.page, want.bcid)
		}
		if r.Header.Get("Authorization") != "" {
			t.Error("the app got the password")
		}
	}
}

// example is a Caddy that runs an example, on the ports that it names. Examples must not run at the same time.
type example struct{ *caddyProcess }

// exampleService is where the examples have their emulator.
const exampleService = "http://localhost:9080/extension"

func startExample(t *testing.T, name string) *example {
	t.Helper()
	e := &example{&caddyProcess{t: t, Addr: "localhost:8080"}}
	e.run(readFile(t, "../examples/"+name+"/Caddyfile"))
	return e
}

func (e *example) get(headers ...string) *answer {
	e.t.Helper()
	return do(e.t, http.MethodGet, "http://"+e.Addr, headers...)
}

func (e *example) wants(got *answer, status int, reason string) {
	e.t.Helper()
	if got.StatusCode != status || got.reason() != reason {
		e.t.Errorf("status %d with reason %q, want %d with %q", got.StatusCode, got.reason(), status, reason)
	}
}

// token requests a token for the verification of a person.
func (e *example) token(bcid string) string {
	e.t.Helper()
	query := url.Values{"id": {"demo"}, "bcid": {bcid}}
	return e.call(http.MethodGet, "/token?"+query.Encode(), "", func(h http.Header) {
		h.Set("Authorization", "Basic "+basicAuth("demo", "demo-secret"))
	})
}

// perform does what the page with the camera does.
func (e *example) perform(token string) {
	e.t.Helper()
	bearer := func(h http.Header) { h.Set("Authorization", "Bearer "+token) }
	e.call(http.MethodPost, "/upload", "data:image/png;base64,iVBORw0KGgo=", bearer)
	e.call(http.MethodGet, "/verify", "", bearer)
}

// verified returns a token with which the person has been verified.
func (e *example) verified(bcid string) string {
	e.t.Helper()
	token := e.token(bcid)
	e.perform(token)
	return token
}

// choose tells the emulator how the next operation ends.
func (e *example) choose(outcome string) {
	e.t.Helper()
	e.call(http.MethodPost, "/emulator/outcome", outcome, func(h http.Header) { h.Set("Content-Type", "application/json") })
}

func (e *example) call(method, path, body string, prepare func(http.Header)) string {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), method, exampleService+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	prepare(r.Header)
	got := send(e.t, r)
	if got.StatusCode >= 300 {
		e.t.Fatalf("the emulator answered %s with %d: %s", path, got.StatusCode, got.Body)
	}
	return got.Body
}

// startPHP runs the PHP example's app as its comment says.
func startPHP(t *testing.T) {
	t.Helper()
	const addr = "127.0.0.1:8081"
	php := exec.Command("php", "-S", addr, "-t", "../examples/php/app")
	var log bytes.Buffer
	php.Stdout, php.Stderr = &log, &log
	if err := php.Start(); err != nil {
		t.Fatalf("the example needs PHP's command line: install php-cli: %v", err)
	}
	t.Cleanup(func() {
		_ = php.Process.Kill()
		_ = php.Wait()
		if t.Failed() {
			t.Logf("PHP's log:\n%s", log.String())
		}
	})
	eventually(t, "PHP listens", func() bool { return listens(addr) })
}
