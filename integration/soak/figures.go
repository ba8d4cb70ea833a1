package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// figures are what was measured.
type figures struct {
	mu sync.Mutex
	// outcomes and times are of requests, by their kind; samples are of nodes, by their name.
	outcomes map[string]map[string]int
	times    map[string][]time.Duration
	samples  map[string][]sample
}

func newFigures() *figures {
	return &figures{
		outcomes: make(map[string]map[string]int),
		times:    make(map[string][]time.Duration),
		samples:  make(map[string][]sample),
	}
}

// sample is how much a node used at some time.
type sample struct{ memory, goroutines, files float64 }

// maxTimes is how many times are kept of each kind.
const maxTimes = 200_000

// took counts a request.
func (f *figures) took(kind string, a *answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
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
	if s.memory, err = memoryOf(string(status)); err != nil {
		return s, err
	}
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

// memoryOf returns the memory that /proc/PID/status tells of, in MiB. A process that has ended has none.
func memoryOf(status string) (float64, error) {
	var kilobytes float64
	_, rest, _ := strings.Cut(status, "VmRSS:")
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		return 0, fmt.Errorf("/proc/PID/status has no VmRSS: %w", err)
	}
	return kilobytes / 1024, nil
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

// growthFactor is how much more a node may use in the end than after a quarter of the time, when it has warmed up.
const growthFactor = 1.3

// resource is something that a node uses.
type resource struct {
	name string
	// more may come on top of growthFactor: garbage is collected when it is, and connections come and go.
	more float64
	of   func(sample) float64
}

var resources = []resource{
	{"memory", 48, func(s sample) float64 { return s.memory }},
	{"goroutines", 60, func(s sample) float64 { return s.goroutines }},
	{"file descriptors", 60, func(s sample) float64 { return s.files }},
}

// checkGrowth finds what has grown.
func (s *soak) checkGrowth() {
	for _, n := range s.nodes[:nodes-1] {
		for _, r := range resources {
			if before, after := trend(s.figures.samples[n.name], r.of); after > before*growthFactor+r.more {
				s.verdicts.fail("node %s: %s have grown from %.0f to %.0f", n.name, r.name, before, after)
			}
		}
	}
}
