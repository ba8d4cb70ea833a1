package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const monitoring = "../examples/monitoring/"

// prometheusProcess is a running Prometheus.
type prometheusProcess struct {
	t   *testing.T
	url string
}

// startPrometheus runs a Prometheus that looks at these addresses twice a second, and holds the rules against what it finds.
func startPrometheus(t *testing.T, rules string, targets ...string) *prometheusProcess {
	t.Helper()
	dir, addr := t.TempDir(), freeAddr(t)
	config := fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\nrule_files: [rules.yml]\n"+
		"scrape_configs: [{job_name: caddy, static_configs: [{targets: [%s]}]}]\n", strings.Join(targets, ","))
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yml": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log logBuffer
	command := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr)
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatalf("%v: install Prometheus, on Debian the package prometheus", err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	p := &prometheusProcess{t, "http://" + addr}
	eventually(t, "Prometheus is ready", func() bool {
		answer, err := http.Get(p.url + "/-/ready")
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil && answer.StatusCode == http.StatusOK
	})
	return p
}

// ask asks the API of Prometheus.
func (p *prometheusProcess) ask(path string, parameters url.Values, into any) {
	p.t.Helper()
	answer, err := http.Get(p.url + "/api/v1/" + path + "?" + parameters.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	body := struct {
		Status, Error string
		Data          any
	}{Data: into}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.Status != "success" {
		p.t.Fatalf("%s: %s %v", path, body.Error, err)
	}
}

// finds reports whether there is anything that an expression matches.
func (p *prometheusProcess) finds(expression string) bool {
	p.t.Helper()
	var found struct{ Result []any }
	p.ask("query", url.Values{"query": {expression}}, &found)
	return len(found.Result) > 0
}

// firing returns the alerts that fire.
func (p *prometheusProcess) firing() map[string]bool {
	p.t.Helper()
	var found struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	p.ask("alerts", nil, &found)
	firing := make(map[string]bool)
	for _, alert := range found.Alerts {
		if alert.State == "firing" {
			firing[alert.Labels["alertname"]] = true
		}
	}
	return firing
}
