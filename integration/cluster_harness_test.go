package integration

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

const (
	// propagation is how soon every node must know of a revocation: they look every 5 s, and the machine may be busy.
	propagation = 8 * time.Second
	// patience is how long a client waits. No request has to wait for the storage longer than for a lock, a store and a listing;
	// all have a deadline of 2 s.
	patience = 10 * time.Second
	// grace is for how long the nodes open sessions while they cannot read the storage.
	grace = 10 * time.Second
)

// cluster is Caddys that share a storage, in front of one app, with the emulator as BWS.
type cluster struct {
	t       *testing.T
	service *bwstest.Server
	app     *app
	storage string
	client  http.Client
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return &cluster{
		t:       t,
		service: bwstest.NewServer(t, bwstest.Config{}),
		app:     newApp(t),
		storage: filepath.Join(t.TempDir(), "shared"),
		client: http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 1000},
			CheckRedirect: client.CheckRedirect,
			Timeout:       patience,
		},
	}
}

// node is a Caddy of a cluster.
type node struct{ *caddyProcess }

// start adds a node. It has nothing in common with the others but the storage.
func (c *cluster) start() *node {
	c.t.Helper()
	n := &node{&caddyProcess{t: c.t, Addr: freeAddr(c.t), Admin: freeAddr(c.t)}}
	n.run(fmt.Sprintf(`{
	admin %s
	auto_https off
%s}
http://%s {
	bws_logout /logout {
		redirect /
	}
	bws /once* {
		once
	}
	bws /transfer* {
		once POST
	}
	bws /private* {
		session 30m {
			idle 10m
		}
	}
	bws /private/signed* {
		session
		assertion
	}
	bws_jwks /jwks.json
	reverse_proxy %s
}`, n.Admin, serviceOption("", c.service.URL, "timeout 9s", "max_inflight 10000", "client_rate 1000000 1m",
		"storage file_system "+c.storage, "storage_grace "+grace.String()), n.Addr, c.app.Listener.Addr()))
	c.t.Cleanup(c.client.CloseIdleConnections) // before the node is stopped, which waits for unused ones
	return n
}

func (c *cluster) startAll(count int) []*node {
	c.t.Helper()
	nodes := make([]*node, count)
	for i := range nodes {
		nodes[i] = c.start()
	}
	return nodes
}

// kill ends the node as a power failure would.
func (n *node) kill() {
	_ = n.command.Process.Kill()
	n.stop()
}

// restart runs a killed node anew: at the same addresses, with the same configuration and home.
func (n *node) restart() {
	n.t.Helper()
	killed := n.command
	n.command = exec.Command(killed.Path, killed.Args[1:]...)
	n.command.Env, n.command.Stdout, n.command.Stderr = killed.Env, killed.Stdout, killed.Stderr
	n.logs.mu.Lock()
	n.logs.buf.Reset()
	n.logs.mu.Unlock()
	if err := n.command.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.waitForLog("serving initial configuration")
}

// url is that of a path of the node's site.
func (n *node) url(path string) string { return "http://" + n.Addr + path }

// ask is ask with the patience of the cluster's clients.
func (c *cluster) ask(method, url, body string, headers ...string) (*answer, error) {
	return ask(c.t.Context(), &c.client, method, url, body, headers...)
}

// outcome is "200", or for a denial its status and reason.
func (a *answer) outcome() string {
	return strings.TrimSpace(fmt.Sprint(a.StatusCode, " ", a.reason()))
}

// outcome is that of a request to the node's site, or the error there was instead.
func (c *cluster) outcome(n *node, method, path string, headers ...string) string {
	got, err := c.ask(method, n.url(path), "", headers...)
	if err != nil {
		return err.Error()
	}
	return got.outcome()
}

// check asks once for something whose outcome is certain.
func (c *cluster) check(t *testing.T, want string, n *node, method, path string, headers ...string) {
	t.Helper()
	if got := c.outcome(n, method, path, headers...); got != want {
		t.Errorf("%s %s: got %s, want %s", method, n.url(path), got, want)
	}
}

// admin asks a node's admin API to do something, and returns the status of the answer.
func (c *cluster) admin(n *node, path, body string) (status int, err error) {
	got, err := c.ask(http.MethodPost, "http://"+n.Admin+path, body)
	if err != nil {
		return 0, err
	}
	return got.StatusCode, nil
}

// good is a new token with which Alice has been verified, as a header.
func (c *cluster) good() string { return "X-BWS-Token: " + goodToken(c.service) }

// session begins a session with a token on a node, and returns its cookie as a header.
func (c *cluster) session(n *node, token string) (string, error) {
	got, err := c.ask(http.MethodGet, n.url("/private"), "", token)
	if err != nil {
		return "", err
	}
	for _, cookie := range got.Cookies() {
		if cookie.Name == "bws_session" {
			return "Cookie: " + cookie.Name + "=" + cookie.Value, nil
		}
	}
	return "", fmt.Errorf("no session: %d %s", got.StatusCode, got.Body)
}

// mustSession is session in a test's own goroutine.
func (c *cluster) mustSession(t *testing.T, n *node, token string) string {
	t.Helper()
	cookie, err := c.session(n, token)
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

// takeAway puts a file in the place of the storage, so that nothing can be read or written, until it is given back.
func (c *cluster) takeAway() (giveBack func()) {
	c.t.Helper()
	must := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	must(os.Rename(c.storage, c.storage+".away"))
	must(os.WriteFile(c.storage, nil, 0o600))
	return func() {
		must(os.Remove(c.storage))
		must(os.Rename(c.storage+".away", c.storage))
	}
}

// passed counts the requests with a method that have reached the app, by path and query.
func (c *cluster) passed(method string) map[string]int {
	counts := make(map[string]int)
	for _, r := range c.app.take() {
		if r.Method == method {
			counts[r.RequestURI]++
		}
	}
	return counts
}

// plantKey stores a key of a purpose that is used from some time on, as a rotation does, once the nodes have one. It returns its id.
func (c *cluster) plantKey(t *testing.T, purpose string, from time.Time) (id [8]byte) {
	t.Helper()
	var first []string
	eventually(t, "there is a key", func() bool {
		first, _ = filepath.Glob(filepath.Join(c.storage, "bws", "*", "keys", purpose, strings.Repeat("?", 16)))
		return len(first) > 0
	})
	var key [32]byte
	_, _ = rand.Read(id[:])
	_, _ = rand.Read(key[:])
	record, err := json.Marshal(map[string]any{"v": 1, "use_from": from.Unix(), "end": from.Add(48 * time.Hour).Unix(), "key": key[:]})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(first[0]), hex.EncodeToString(id[:])), record, 0o600); err != nil {
		t.Fatal(err)
	}
	return id
}
