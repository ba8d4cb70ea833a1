package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

var (
	alertName  = regexp.MustCompile(`alert: (\w+)`)
	metricName = regexp.MustCompile(`caddy_bws_\w+`)
	// documentedMetric begins a row of a table.
	documentedMetric = regexp.MustCompile("(?m)^\\| `(caddy_bws_\\w+)`")
	// partOfHistogram is what Prometheus makes of the name of a histogram.
	partOfHistogram = regexp.MustCompile(`_(bucket|sum|count)$`)
)

func namesIn(text string, pattern *regexp.Regexp) (names []string) {
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		names = append(names, match[len(match)-1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func metricsIn(text string) (names []string) {
	for _, name := range metricName.FindAllString(text, -1) {
		names = append(names, partOfHistogram.ReplaceAllString(name, ""))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Each alert fires when it should, and has an entry in the runbook.
func TestRules(t *testing.T) {
	for _, arguments := range [][]string{
		{"check", "config", monitoring + "prometheus.yml"},
		{"test", "rules", monitoring + "rules.test.yml"},
	} {
		if out, err := exec.Command("promtool", arguments...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v: install Prometheus, on Debian the package prometheus, if it is missing\n%s",
				strings.Join(arguments, " "), err, out)
		}
	}
	rules, tests, runbook := readFile(t, monitoring+"rules.yml"), readFile(t, monitoring+"rules.test.yml"), readFile(t, "../docs/operations.md")
	for _, alert := range namesIn(rules, alertName) {
		if !strings.Contains(tests, "alertname: "+alert+"\n        exp_alerts:\n          - ") {
			t.Errorf("no test has %s fire", alert)
		}
		if !strings.Contains(rules, "runbook: docs/operations.md#"+strings.ToLower(alert)+"\n") {
			t.Errorf("%s does not lead to its own entry in the runbook", alert)
		}
		if !strings.Contains(runbook, "\n### "+alert+"\n") {
			t.Errorf("the runbook has no entry for %s", alert)
		}
	}
}

// Grafana understands the dashboard, as far as its own schema says.
func TestDashboard(t *testing.T) {
	var d dashboard.Dashboard //nolint:staticcheck // the schema that came after it is for Grafana 12 alone
	// If all is well, it returns an empty list of errors, which is not nil.
	if err := d.UnmarshalJSONStrict([]byte(readFile(t, monitoring+"dashboard.json"))); err != nil && err.Error() != "" {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	if *d.Title != "caddy-bws" || len(d.Panels) == 0 {
		t.Errorf("the dashboard is called %s and has %d panels", *d.Title, len(d.Panels))
	}
}

// quick makes the rules such that a test need not wait: they look at seconds where they look at minutes.
var quick = strings.NewReplacer(
	"[5m]", "[10s]", "[1h] offset 10m", "[15s] offset 10s", "for: 30s", "for: 1s", "for: 1m", "for: 1s", "for: 2m", "for: 1s", "for: 5m", "for: 1s",
	"for: 1h", "for: 1s", "2 * 86400", "2", "_age_seconds > 60", "_age_seconds > 8",
)

// What each alert is for makes it fire, with a real Prometheus, and before that none does. A scrape shows every series that the
// documentation, the rules and the dashboard name, and no other.
func TestAlerts(t *testing.T) {
	refusing, down, odd, slow := newService(t), newService(t), newService(t), newService(t)
	app, storage := newApp(t), t.TempDir()
	site := startCaddy(t, strings.Join([]string{
		serviceOption("", newService(t).URL, "client_rate 1 1m", "storage file_system "+storage+"/ledger"),
		serviceOption("refusing", refusing.URL), serviceOption("down", down.URL), serviceOption("odd", odd.URL),
		serviceOption("slow", slow.URL, "max_inflight 1", "timeout 10s", "cache_ttl 0"),
	}, "\n"), `{addr} {
	bws /refusing* refusing
	bws /down* down
	bws /odd* odd
	bws /slow* slow
	bws /default*
	reverse_proxy `+app.Listener.Addr().String()+"\n}")
	crashing := newFakeTarget(t)
	leaving := startCaddy(t, serviceOption("", down.URL), "{addr} {\n\tbws\n}")
	rules := readFile(t, monitoring+"rules.yml")
	// The key is made at the start, and old after two seconds: its rule comes later.
	calm := strings.Replace(quick.Replace(rules), "key_age_seconds > 2", "key_age_seconds > 3600", 1)
	p := startPrometheus(t, calm, site.Admin, leaving.Admin, crashing.addr)
	for name, target := range map[string]string{"site": site.Admin, "other site": leaving.Admin, "fake": crashing.addr} {
		eventually(t, "Prometheus has looked at the "+name, func() bool { return p.finds(`up{instance="` + target + `"} == 1`) })
	}
	time.Sleep(3 * time.Second) // for alerts that should not be
	if firing := p.firing(); len(firing) > 0 {
		t.Errorf("without a cause there are alerts: %v", firing)
	}
	checkSeries(t, p)

	get := func(path, token string) *answer {
		return do(t, http.MethodGet, "http://"+site.Addr+path, "X-BWS-Token: "+token)
	}
	refusing.ScriptAlways("/result", bwstest.Answer{Status: http.StatusUnauthorized})
	down.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	odd.ScriptAlways("/result", bwstest.Answer{Status: http.StatusFound})
	slow.ScriptAlways("/result", bwstest.Answer{Delay: 3 * time.Second})
	crashing.panics.Store(1)
	_ = leaving.command.Process.Kill()
	breakStorage(t, storage+"/ledger")
	old := startPrometheus(t, quick.Replace(rules), site.Admin)

	want := namesIn(rules, alertName)
	stop := time.Now().Add(time.Minute)
	firing := make(map[string]bool)
	for len(firing) < len(want) && time.Now().Before(stop) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = ask(t.Context(), client, http.MethodGet, "http://"+site.Addr+"/slow", "", "X-BWS-Token: "+goodToken(slow))
		}()
		for range 10 {
			get("/refusing", goodToken(refusing))
			get("/down", goodToken(down))
			get("/odd", goodToken(odd))
			get("/default", goodToken(odd)) // of another service, so that this one rejects it
			get("/default", "rubbish")
			get("/slow", goodToken(slow))
		}
		<-done
		for _, each := range []*prometheusProcess{p, old} {
			for name := range each.firing() {
				firing[name] = true
			}
		}
	}
	for _, name := range want {
		if !firing[name] {
			t.Errorf("%s does not fire", name)
		}
	}
}

// checkSeries checks that the scrape, the documentation, the rules and the dashboard know the same series.
func checkSeries(t *testing.T, p *prometheusProcess) {
	t.Helper()
	var scraped []string
	p.ask("label/__name__/values", nil, &scraped)
	exposed := metricsIn(strings.Join(scraped, "\n"))
	documented := metricsIn(strings.Join(namesIn(readFile(t, "../docs/operations.md"), documentedMetric), "\n"))
	if !slices.Equal(exposed, documented) {
		t.Errorf("a scrape shows\n%s\nand the documentation\n%s", strings.Join(exposed, "\n"), strings.Join(documented, "\n"))
	}
	for _, file := range []string{"rules.yml", "rules.test.yml", "dashboard.json"} {
		for _, name := range metricsIn(readFile(t, monitoring+file)) {
			if !slices.Contains(exposed, name) {
				t.Errorf("%s names %s, which no scrape shows", file, name)
			}
		}
	}
}

func newService(t *testing.T) *bwstest.Server { return bwstest.NewServer(t, bwstest.Config{}) }

// breakStorage puts a file where the folder of a storage was.
func breakStorage(t *testing.T, folder string) {
	t.Helper()
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fakeTarget is scraped in place of a Caddy in which the gate has panicked, which no test can bring about.
type fakeTarget struct {
	addr   string
	panics atomic.Int64
}

func newFakeTarget(t *testing.T) *fakeTarget {
	f := new(fakeTarget)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "caddy_bws_decisions_total{decision=\"deny\",reason=\"internal_error\"} %d\n", f.panics.Load())
	}))
	t.Cleanup(server.Close)
	f.addr = server.Listener.Addr().String()
	return f
}
