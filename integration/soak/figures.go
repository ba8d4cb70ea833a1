package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// figures are what was measured.
type figures struct {
	mu       sync.Mutex
	outcomes map[string]map[string]int
	times    map[string][]time.Duration
	samples  map[string][]sample
}

// sample is how much a node used at some time.
type sample struct{ memory, goroutines, files float64 }

// maxTimes is how many times are kept of each kind.
const maxTimes = 200_000

// took counts a request.
func (f *figures) took(kind string, a *answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.outcomes == nil {
		f.outcomes, f.times, f.samples = make(map[string]map[string]int), make(map[string][]time.Duration), make(map[string][]sample)
	}
	if f.outcomes[kind] == nil {
		f.outcomes[kind] = make(map[string]int)
	}
	f.outcomes[kind][a.String()]++
	if a.err == nil && a.reason == "" && len(f.times[kind]) < maxTimes {
		f.times[kind] = append(f.times[kind], a.until.Sub(a.from))
	}
}

// watch samples the nodes that are never killed.
func (s *soak) watch(ctx context.Context) {
	s.repeat(ctx, 2*time.Second, func() {
		for _, n := range s.nodes[:nodes-1] {
			if taken, err := n.sample(); err == nil {
				s.figures.mu.Lock()
				s.figures.samples[n.name] = append(s.figures.samples[n.name], taken)
				s.figures.mu.Unlock()
			}
		}
	})
}

func (n *node) sample() (s sample, err error) {
	proc := fmt.Sprintf("/proc/%d/", n.command.Process.Pid)
	files, err := filepath.Glob(proc + "fd/*")
	if err != nil {
		return s, err
	}
	s.files = float64(len(files))
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return s, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if s.memory, err = strconv.ParseFloat(strings.Fields(rest)[0], 64); err != nil {
		return s, err
	}
	s.memory /= 1024
	answer, err := http.Get("http://" + n.admin + "/metrics")
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "go_goroutines "); found {
			s.goroutines, err = strconv.ParseFloat(value, 64)
		}
	}
	return s, err
}

// trend is the median of a figure in the second quarter of the time and in the last one.
func trend(samples []sample, of func(sample) float64) (before, after float64) {
	values := make([]float64, len(samples))
	for i := range samples {
		values[i] = of(samples[i])
	}
	quarter := len(values) / 4
	return median(values[quarter : 2*quarter]), median(values[3*quarter:])
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// What a node may use more of in the end than after a quarter of the time, when it has warmed up: garbage is collected when it is, and
// connections come and go.
const (
	growthFactor    = 1.3
	moreMemory      = 48 // MiB
	moreOfTheOthers = 60
)

// report tells in Markdown what came of it, and finds what has grown.
func (s *soak) report(lasted time.Duration) string {
	f := &s.figures
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s of traffic on %s, %s, %d cores (%s/%s).\n\n", lasted, time.Now().UTC().Format(time.DateOnly), cpu(),
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "%d outages of BWS of %s each, %d reloads, %d times a node was killed and started again.\n\n",
		s.causes.count(causeOutage), outageFor, s.causes.count(causeReload), s.causes.count(causeKill))
	b.WriteString("| requests | sent | reached the app | p50 | p99 | outcomes |\n|---|---|---|---|---|---|\n")
	for _, kind := range slices.Sorted(maps.Keys(f.outcomes)) {
		total := 0
		var outcomes []string
		for _, outcome := range slices.SortedFunc(maps.Keys(f.outcomes[kind]), func(x, y string) int {
			return cmp.Or(cmp.Compare(f.outcomes[kind][y], f.outcomes[kind][x]), cmp.Compare(x, y))
		}) {
			total += f.outcomes[kind][outcome]
			outcomes = append(outcomes, fmt.Sprintf("%s: %d", outcome, f.outcomes[kind][outcome]))
		}
		times := slices.Sorted(slices.Values(f.times[kind]))
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | %s |\n", kind, total, s.verdicts.reached[kind], quantile(times, 0.5), quantile(times, 0.99),
			strings.Join(outcomes, ", "))
	}
	b.WriteString("\n| node | memory (MiB) | goroutines | file descriptors |\n|---|---|---|---|\n")
	for _, n := range s.nodes[:nodes-1] {
		samples := f.samples[n.name]
		fmt.Fprintf(&b, "| %s |", n.name)
		for _, figure := range []struct {
			name string
			more float64
			of   func(sample) float64
		}{
			{"memory", moreMemory, func(s sample) float64 { return s.memory }},
			{"goroutines", moreOfTheOthers, func(s sample) float64 { return s.goroutines }},
			{"file descriptors", moreOfTheOthers, func(s sample) float64 { return s.files }},
		} {
			before, after := trend(samples, figure.of)
			fmt.Fprintf(&b, " %.0f, then %.0f |", before, after)
			if after > before*growthFactor+figure.more {
				s.verdicts.fail("node %s: %s have grown from %.0f to %.0f", n.name, figure.name, before, after)
			}
		}
		b.WriteString("\n")
	}
	broken := s.verdicts.broken()
	fmt.Fprintf(&b, "\nRules broken: %d.\n", len(broken))
	for _, failure := range broken[:min(len(broken), 20)] {
		fmt.Fprintf(&b, "- %s\n", failure)
	}
	return b.String()
}

func quantile(sorted []time.Duration, q float64) string {
	if len(sorted) == 0 {
		return ""
	}
	return sorted[int(q*float64(len(sorted)-1))].Round(10 * time.Microsecond).String()
}

// cpu is what the machine says of itself.
func cpu() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(info), "model name\t: ")
	name, _, _ := strings.Cut(rest, "\n")
	return name
}

// writeInto puts a report between the markers of a page.
func writeInto(page, report string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	const begin, end = "<!-- soak -->\n", "<!-- /soak -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s has no part between %sand %s", page, begin, end)
	}
	return os.WriteFile(page, []byte(before+begin+"\n"+report+"\n"+end+after), 0o644)
}
