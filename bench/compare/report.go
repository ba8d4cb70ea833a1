package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
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
	fmt.Fprintf(&r.text, "Measured on %s with %s, %s, Linux %s, Caddy %s.\n", time.Now().Format(time.DateOnly), machine(), runtime.Version(),
		output("uname", "-r"), output("go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2"))
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

// table adds the rows that have samples, each against the ungated one of the same round.
func (r *report) table(name string, samples [][]sample) {
	counted := steadyRounds(samples[0])
	fmt.Fprintf(&r.text, "\n### %s\n\n%d of %d rounds were steady enough to count. Medians, with the range in parentheses.\n\n",
		name, len(counted), len(samples[0]))
	r.text.WriteString("| | added CPU per request | req/s beside ungated | p50 | p99 | BWS calls per request |\n|---|---|---|---|---|---|\n")
	for i, row := range samples {
		if len(row) == 0 {
			continue
		}
		own := column(row, counted, func(one, _ sample) float64 { return microseconds(one.cpu) })
		p50 := median(column(row, counted, func(one, _ sample) float64 { return milliseconds(one.p50) }))
		p99 := median(column(row, counted, func(one, _ sample) float64 { return milliseconds(one.p99) }))
		label := rows[i].name
		if median(column(row, counted, func(one, _ sample) float64 { return one.idle })) < saturated {
			label += " (wrk's core was busy)"
		}
		control := samples[rows[i].control]
		if rows[i].control == i {
			fmt.Fprintf(&r.text, "| %s | (%.1f µs in all) | 1 | %.2f ms | %.2f ms | 0 |\n", label, median(own), p50, p99)
			continue
		}
		cpu := column(row, counted, func(one, other sample) float64 { return microseconds(one.cpu - other.cpu) }, control...)
		rate := column(row, counted, func(one, other sample) float64 { return one.perSecond / other.perSecond }, control...)
		calls := median(column(row, counted, func(one, _ sample) float64 { return one.calls }))
		fmt.Fprintf(&r.text, "| %s | %.1f µs (%.1f to %.1f) | %.2f (%.2f to %.2f) | %.2f ms | %.2f ms | %s |\n", label,
			median(cpu), slices.Min(cpu), slices.Max(cpu), median(rate), slices.Min(rate), slices.Max(rate), p50, p99, perRequest(calls))
	}
}

// column takes one figure of each counted round, from the row and, where they are given, the control's sample of that round.
func column(row []sample, rounds []int, figure func(one, control sample) float64, control ...sample) []float64 {
	values := make([]float64, 0, len(rounds))
	for _, round := range rounds {
		var other sample
		if len(control) > 0 {
			other = control[round]
		}
		values = append(values, figure(row[round], other))
	}
	return values
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// line adds a sentence to a list.
func (r *report) line(format string, args ...any) { fmt.Fprintf(&r.text, "- "+format+"\n", args...) }

func (r *report) title(name string) { fmt.Fprintf(&r.text, "\n### %s\n\n", name) }

// steadyRounds are those whose ungated row was as fast as usual.
func steadyRounds(control []sample) []int {
	rates := make([]float64, 0, len(control))
	for _, one := range control {
		rates = append(rates, one.perSecond)
	}
	usual := median(rates)
	var rounds []int
	for i, rate := range rates {
		if math.Abs(rate-usual) <= steady*usual {
			rounds = append(rounds, i)
		}
	}
	return rounds
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func perRequest(calls float64) string {
	if calls < 0.001 {
		return "0"
	}
	return fmt.Sprintf("%.2f", calls)
}

// write puts the report between the markers of a file.
func (r *report) write(file string) error {
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
