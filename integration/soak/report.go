package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report tells in Markdown what came of it.
func (s *soak) report(lasted time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of traffic on %s, %s, %d cores (%s/%s).\n\n", lasted, time.Now().UTC().Format(time.DateOnly), cpu(),
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "%d outages of BWS of %s each, %d reloads, %d times a node was killed and started again.\n\n",
		s.causes.count(causeOutage), outageFor, s.causes.count(causeReload), s.causes.count(causeKill))
	s.writeRequests(&b)
	s.writeResources(&b)
	broken := s.verdicts.broken()
	fmt.Fprintf(&b, "\nRules broken: %d.\n", len(broken))
	for _, failure := range broken[:min(len(broken), 20)] {
		fmt.Fprintf(&b, "- %s\n", failure)
	}
	return b.String()
}

// writeRequests writes a row for each kind of requests, with its outcomes from the most frequent one on.
func (s *soak) writeRequests(b *strings.Builder) {
	b.WriteString("| requests | sent | reached the app | p50 | p99 | outcomes |\n|---|---|---|---|---|---|\n")
	for _, kind := range slices.Sorted(maps.Keys(s.figures.outcomes)) {
		counts, total := s.figures.outcomes[kind], 0
		var outcomes []string
		for _, outcome := range slices.SortedFunc(maps.Keys(counts), func(x, y string) int {
			return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
		}) {
			total += counts[outcome]
			outcomes = append(outcomes, fmt.Sprintf("%s: %d", outcome, counts[outcome]))
		}
		times := slices.Sorted(slices.Values(s.figures.times[kind]))
		fmt.Fprintf(b, "| %s | %d | %d | %s | %s | %s |\n", kind, total, s.verdicts.reached[kind], quantile(times, 0.5), quantile(times, 0.99),
			strings.Join(outcomes, ", "))
	}
}

// writeResources writes a row for each node that is never killed.
func (s *soak) writeResources(b *strings.Builder) {
	b.WriteString("\n| node | memory (MiB) | goroutines | file descriptors |\n|---|---|---|---|\n")
	for _, n := range s.nodes[:nodes-1] {
		fmt.Fprintf(b, "| %s |", n.name)
		for _, r := range resources {
			before, after := trend(s.figures.samples[n.name], r.of)
			fmt.Fprintf(b, " %.0f, then %.0f |", before, after)
		}
		b.WriteString("\n")
	}
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
