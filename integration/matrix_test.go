package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/internal/dnstest"
)

const (
	// checkTime is the timeout of the services here.
	checkTime = 2 * time.Second
	// overtime is what an answer may take beyond that.
	overtime = 100 * time.Millisecond
	// period is how long the breaker leaves BWS alone, and how often revocations are read.
	period = 5 * time.Second
	// recovery is how soon all works again: what has begun before the end of a fault may fail after it.
	recovery = period + checkTime
	// shortGrace is the storage_grace of services whose storage fails for longer than that.
	shortGrace = 10 * time.Second
	// crowd is how many cells are seen to at once.
	crowd = 20
)

// storageFault is a way in which the storage fails.
type storageFault struct {
	id string
	// name is what the page calls it.
	name string
	// word is what the storage is told, "" if nothing.
	word string
	// wiped says that everything is deleted, stale that it lasts for longer than storage_grace.
	wiped, stale bool
	// unsure says that once cannot be guaranteed.
	unsure bool
	// cost is what a redemption may take.
	cost time.Duration
}

// storageFaults are the faults. A redemption has four operations, and waits for none longer than 2 s; of two that hang, the second
// is an error.
var storageFaults = []*storageFault{
	{id: "fine", name: "fine"},
	{id: "slow", name: "slow", word: "slow", cost: 4 * 300 * time.Millisecond},
	{id: "wiped", name: "wiped", wiped: true},
	{id: "read-only", name: "read-only", word: "read-only", unsure: true},
	{id: "failing", name: "failing", word: "failing", unsure: true},
	{id: "hanging", name: "hanging", word: "hanging", unsure: true, cost: 4 * time.Second},
	{id: "stale", name: "failing for longer than `storage_grace`", word: "failing", stale: true, unsure: true},
}

// matrix is a Caddy with a service for each fault of BWS together with each of the storage.
type matrix struct {
	t     *testing.T
	caddy *caddyProcess
	proxy *toxiproxy
	peers []*peer
	cells []*cell
	app   *app
	// folder has those of the storages.
	folder string
	client http.Client
	// ungated is how long requests take meanwhile that no gate delays.
	ungated ungated

	mu      sync.Mutex
	asked   int
	mayPass map[string]bool
	// last is which cell has taken longest to work again, and longest how long.
	last    *cell
	longest time.Duration
	// ending says that faults are ending, or are over.
	ending atomic.Bool
}

// Whatever fails of BWS and the storage at once, nobody passes who must not, every answer is one of those in docs/reliability.md and
// comes in time, and all works again as soon as the faults are over.
func TestFaultMatrix(t *testing.T) {
	covers(t, 75, 76, 77, 78, 88, 90, 92, 94, 107)
	m := startMatrix(t)
	m.each(t, crowd, (*cell).prepare)
	began, others := time.Now(), newCrew(t)
	m.begin()
	m.each(t, crowd, func(c *cell, t *testing.T) {
		if c.storage.stale {
			time.Sleep(time.Until(began.Add(shortGrace + time.Second)))
		}
		c.suffer(t)
		c.resist(t)
		others.repeat(func() { c.endure(t) })
	})
	m.checkBreakers(t)
	m.end()
	over := time.Now()
	m.each(t, len(m.cells), func(c *cell, t *testing.T) { c.recover(t, over) })
	m.each(t, crowd, (*cell).work)
	others.stop()
	t.Logf("%d requests in %d cells; it took %s until the last one worked again: %s", m.asked, len(m.cells), m.longest.Round(time.Millisecond), m.last)
	m.checkWhoPassed(t)
	checkFaultsPage(t, m.cells)
}

func startMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{
		t: t, app: newApp(t), folder: t.TempDir(), mayPass: make(map[string]bool),
		client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}, CheckRedirect: client.CheckRedirect, Timeout: time.Minute},
	}
	names, ca := dnstest.Start(t), newAuthority(t)
	m.caddy = newFaultyCaddy(t, names)
	for _, fault := range bwsFaults() {
		p := startPeer(t, fault, storageFaults, names, ca)
		if upstream := "127.0.0.1:" + p.port; m.proxy == nil {
			m.proxy = startToxiproxy(t, upstream)
			p.proxy = m.proxy
		} else {
			p.proxy = m.proxy.another(p.id, upstream)
		}
		m.peers = append(m.peers, p)
		for _, storage := range storageFaults {
			m.cells = append(m.cells, &cell{
				m: m, peer: p, storage: storage, service: p.services[storage.id],
				base: "http://" + m.caddy.Addr + "/" + p.id + "/" + storage.id, outcomes: make(map[probe]string),
			})
		}
	}
	m.caddy.run(m.caddyfile(ca.file))
	t.Cleanup(m.client.CloseIdleConnections) // before Caddy is stopped, which waits for unused ones
	m.ungated.start(t, &m.client, "http://"+m.caddy.Addr+"/ungated")
	return m
}

func (m *matrix) caddyfile(ca string) string {
	var options, gates strings.Builder
	for _, c := range m.cells {
		grace := time.Hour
		if c.storage.stale {
			grace = shortGrace
		}
		name, path := c.peer.id+"-"+c.storage.id, "/"+c.peer.id+"/"+c.storage.id
		options.WriteString(serviceOption(name, c.peer.endpoint(c.storage.id), "timeout "+checkTime.String(), "client_rate 100000 1m",
			"tls_trust_pool file "+ca, "storage faulty "+m.storage(c.storage), "storage_grace "+grace.String()))
		fmt.Fprintf(&gates, "\tbws %s/token* %s {\n\t\tbcid %s\n\t}\n", path, name, alice)
		fmt.Fprintf(&gates, "\tbws %s/session* %s {\n\t\tbcid %s\n\t\tsession\n\t}\n", path, name, alice)
		fmt.Fprintf(&gates, "\tbws %s/once* %s {\n\t\tbcid %s\n\t\tonce\n\t}\n", path, name, alice)
		fmt.Fprintf(&gates, "\tbws %s/login* %s {\n\t\tbcid %s\n\t\tlogin {\n\t\t\tui %s\n\t\t}\n\t}\n", path, name, alice, captureURL)
	}
	return fmt.Sprintf("{\n\tadmin %s\n\tauto_https off\n\tstorage file_system %s\n%s}\nhttp://%s {\n%s\treverse_proxy %s\n}",
		m.caddy.Admin, m.folder, &options, m.caddy.Addr, &gates, m.app.Listener.Addr())
}

func (m *matrix) storage(fault *storageFault) string { return filepath.Join(m.folder, fault.id) }

// each does something in every cell, in some at once. Those whose time has not come at first are the last.
func (m *matrix) each(t *testing.T, atOnce int, do func(*cell, *testing.T)) {
	t.Helper()
	cells := slices.Clone(m.cells)
	slices.SortStableFunc(cells, func(a, b *cell) int {
		return cmp.Compare(slices.Index(storageFaults, a.storage), slices.Index(storageFaults, b.storage))
	})
	inCrowd(atOnce, len(cells), func(i int) { do(cells[i], t) })
}

// begin begins all faults at once.
func (m *matrix) begin() {
	for _, fault := range storageFaults {
		tellStorage(m.t, m.storage(fault), fault.word)
		if fault.wiped {
			if err := os.RemoveAll(m.storage(fault)); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	for _, p := range m.peers {
		p.begin(p)
	}
}

func (m *matrix) end() {
	m.ending.Store(true)
	m.proxy.heal()
	for _, p := range m.peers {
		if p.end != nil {
			p.end(p)
		}
	}
	for _, fault := range storageFaults {
		tellStorage(m.t, m.storage(fault), "")
	}
}

// checkBreakers checks that BWS is left alone where it fails, and only there.
func (m *matrix) checkBreakers(t *testing.T) {
	t.Helper()
	var services []struct{ Name, Breaker string }
	got := do(t, http.MethodGet, "http://"+m.caddy.Admin+"/bws/services")
	if err := json.Unmarshal([]byte(got.Body), &services); err != nil || len(services) != len(m.cells) {
		t.Fatalf("%v: %s", err, got.Body)
	}
	for _, service := range services {
		id, _, _ := strings.Cut(service.Name, "-")
		i := slices.IndexFunc(m.peers, func(p *peer) bool { return p.id == id })
		if closed := service.Breaker == "closed"; closed == m.peers[i].breaks {
			t.Errorf("%s: the breaker is %s", service.Name, service.Breaker)
		}
	}
}

// probeName returns a name for a request, by which it is known when it reaches the app.
func (m *matrix) probeName(mayPass bool) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	name := strconv.Itoa(m.asked)
	m.mayPass[name] = mayPass
	return name
}

func (m *matrix) noteRecovery(c *cell, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if took > m.longest {
		m.last, m.longest = c, took
	}
}

// checkWhoPassed checks that the app has been reached by those alone who were to be let through.
func (m *matrix) checkWhoPassed(t *testing.T) {
	t.Helper()
	for _, r := range m.app.take() {
		name := r.Header.Get("X-Probe")
		if r.RequestURI != "/ungated" && !m.mayPass[name] {
			t.Errorf("%s %s has reached the app", r.Method, r.RequestURI)
		}
		m.mayPass[name] = false // once is enough
	}
}
