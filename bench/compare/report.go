package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report collects tables in Markdown.
type report struct{ text strings.Builder }

func newReport() *report {
	r := new(report)
	fmt.Fprintf(&r.text, "Measured on %s with %s, Linux %s, %s, Caddy %s, caddy-bws %s.\n", time.Now().Format(time.DateOnly), machine(),
		output("uname", "-r"), runtime.Version(), output("go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2"),
		output("git", "describe", "--always", "--dirty"))
	return r
}

func machine() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if match := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(info); err == nil && match != nil {
		return fmt.Sprintf("%d cores of %s", runtime.NumCPU(), match[1])
	}
	return fmt.Sprintf("%d cores", runtime.NumCPU())
}

func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(out))
}

func (r *report) String() string { return r.text.String() }

func (r *report) title(name string) { fmt.Fprintf(&r.text, "\n### %s\n\n", name) }

// header begins a table.
func (r *report) header(columns ...string) {
	fmt.Fprintf(&r.text, "| %s |\n%s|\n", strings.Join(columns, " | "), strings.Repeat("|---", len(columns)))
}

func (r *report) row(cells ...any) {
	for _, cell := range cells {
		fmt.Fprintf(&r.text, "| %v ", cell)
	}
	r.text.WriteString("|\n")
}

// table adds the rows of a table, each against the ungated one of the same round, which is the first.
func (r *report) table(t table, samples [][]sample) {
	counted := steadyRounds(samples[0])
	control := pick(samples[0], counted)
	r.title(t.title)
	r.header("", "added CPU per request, µs", "req/s beside ungated", "p50, ms", "p99, ms", "BWS calls per request",
		"wrk and stubs, of their core")
	for i, taken := range samples {
		r.row(append([]any{rows[t.rows[i]].name}, cells(pick(taken, counted), control, i == 0)...)...)
	}
	gated, asked := pick(samples[slices.Index(t.rows, gate)], counted), pick(samples[slices.Index(t.rows, adapterUncached)], counted)
	times := pairs(gated, asked, func(s, c sample) float64 { return s.perSecond / c.perSecond })
	others := column(slices.Concat(samples...), func(s sample) float64 { return 100 * s.others })
	fmt.Fprintf(&r.text, "\n`bws` serves %s times the requests of `forward_auth` without a cache. Rejected rounds: %d of %d. Something else\n"+
		"had %s %% of Caddy's core.\n", spread(times, "%.1f"), len(samples[0])-len(counted), len(samples[0]), spread(others, "%.0f"))
}

// saturated is how busy wrk's core may be. Beyond that it may be wrk that was measured.
const saturated = 0.95

// cells are the figures of a row. The control's own are not compared with it.
func cells(own, control []sample, isControl bool) []any {
	added := spread(pairs(own, control, func(s, c sample) float64 { return microseconds(s.caddy - c.caddy) }), "%.1f")
	ratio := spread(pairs(own, control, func(s, c sample) float64 { return s.perSecond / c.perSecond }), "%.2f")
	if isControl {
		added = "in all " + spread(column(own, func(s sample) float64 { return microseconds(s.caddy) }), "%.1f")
		ratio = "per s " + spread(column(own, func(s sample) float64 { return s.perSecond }), "%.0f")
	}
	generator := fmt.Sprintf("%.0f %%", 100*median(column(own, func(s sample) float64 { return s.generator })))
	if busy := median(column(own, func(s sample) float64 { return s.busy })); busy > saturated {
		generator += fmt.Sprintf(", **with others %.0f %%**", 100*busy)
	}
	return []any{
		added, ratio,
		spread(column(own, func(s sample) float64 { return milliseconds(s.p50) }), "%.2f"),
		spread(column(own, func(s sample) float64 { return milliseconds(s.p99) }), "%.2f"),
		fmt.Sprintf("%.2f", median(column(own, func(s sample) float64 { return s.calls }))),
		generator,
	}
}

// write puts the report between the markers of the README.
func (r *report) write() error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/caddy-bws/caddy-bws").Output()
	if err != nil {
		return fmt.Errorf("finding bench/README.md: %w", err)
	}
	file := filepath.Join(strings.TrimSpace(string(root)), "bench", "README.md")
	const begin, end = "<!-- results -->\n", "<!-- /results -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s: the markers are missing", file)
	}
	return os.WriteFile(file, []byte(before+begin+r.String()+end+after), 0o644) //nolint:gosec // a document
}
