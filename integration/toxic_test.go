package integration

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
)

// toxiproxy is a proxy between Caddy and BWS that does to connections what it is told.
type toxiproxy struct {
	t *testing.T
	// api is where it is told, by its name; Addr is where it listens.
	api, name, Addr string
}

// startToxiproxy runs the proxy in front of an address.
func startToxiproxy(t *testing.T, upstream string) *toxiproxy {
	t.Helper()
	server := filepath.Join(t.TempDir(), "toxiproxy")
	build := exec.Command("go", "-C", "../tools", "build", "-o", server, "github.com/Shopify/toxiproxy/v2/cmd/server")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building toxiproxy: %v\n%s", err, out)
	}
	p := &toxiproxy{t: t, api: freeAddr(t)}
	host, port, _ := net.SplitHostPort(p.api)
	command := exec.Command(server, "-host", host, "-port", port)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	eventually(t, "toxiproxy listens", func() bool { return listens(p.api) })
	return p.another("bws", upstream)
}

// another is one more proxy in the same process.
func (p *toxiproxy) another(name, upstream string) *toxiproxy {
	p.t.Helper()
	other := &toxiproxy{p.t, p.api, name, freeAddr(p.t)}
	other.tell(http.MethodPost, "/proxies", map[string]any{"name": name, "listen": other.Addr, "upstream": upstream, "enabled": true})
	return other
}

// tell sends an order.
func (p *toxiproxy) tell(method, path string, order any) {
	p.t.Helper()
	body, err := json.Marshal(order)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := http.NewRequest(method, "http://"+p.api+path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if got := send(p.t, r); got.StatusCode >= 300 {
		p.t.Fatalf("toxiproxy answered %d to %s: %s", got.StatusCode, body, got.Body)
	}
}

// poison does something to all that BWS sends, until heal.
func (p *toxiproxy) poison(kind string, attributes map[string]int) {
	p.t.Helper()
	p.tell(http.MethodPost, "/proxies/"+p.name+"/toxics", map[string]any{"type": kind, "attributes": attributes})
}

// cut closes all connections and takes no more, until heal.
func (p *toxiproxy) cut() {
	p.t.Helper()
	p.tell(http.MethodPost, "/proxies/"+p.name, map[string]any{"enabled": false})
}

// heal ends all that is done to connections, those of the other proxies in the process, too.
func (p *toxiproxy) heal() {
	p.t.Helper()
	p.tell(http.MethodPost, "/reset", nil)
}
