package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc: Linux counts a hundred in a second on every platform that Caddy runs on.
const tick = 10 * time.Millisecond

// counters are what has been counted up to some time.
type counters struct {
	// caddy and stubs are the processor time that Caddy and what it talks to have used.
	caddy, stubs time.Duration
	calls        int64
	cores        []core
}

// core is how long a core has worked, and how long it has been there.
type core struct{ busy, all time.Duration }

func (c core) minus(before core) core { return core{c.busy - before.busy, c.all - before.all} }

// share is a part of a core's time.
func (c core) share(part time.Duration) float64 {
	if c.all <= 0 {
		return 0
	}
	return max(0, float64(part)/float64(c.all))
}

func (l *lab) read() (counters, error) {
	caddy, err := processorTime(l.caddy.pid)
	if err != nil {
		return counters{}, err
	}
	adapter, err := processorTime(l.adapter.pid)
	if err != nil {
		return counters{}, err
	}
	own, err := processorTime(os.Getpid())
	if err != nil {
		return counters{}, err
	}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return counters{}, err
	}
	cores, err := parseCores(stat, max(caddyCore, wrkCore)+1)
	return counters{caddy, adapter + own, l.stubs.calls.Load(), cores}, err
}

// processorTime is what a process has used so far.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseProcess(stat)
}

// parseProcess adds up utime and stime of /proc/PID/stat, which are the 14th and 15th field. The second one is a name in
// parentheses, of any characters.
func parseProcess(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat: too few fields")
	}
	return ticks(fields[11:13])
}

// parseCores reads the first n cores of /proc/stat.
func parseCores(stat []byte, n int) ([]core, error) {
	cores := make([]core, n)
	for i := range cores {
		_, line, found := bytes.Cut(stat, fmt.Appendf(nil, "\ncpu%d ", i))
		line, _, _ = bytes.Cut(line, []byte("\n"))
		fields := strings.Fields(string(line))
		if !found || len(fields) < 8 {
			return nil, fmt.Errorf("/proc/stat: no core %d", i)
		}
		idle, err := ticks(fields[3:5]) // nothing to do, and waiting for a disk
		if err != nil {
			return nil, err
		}
		all, err := ticks(fields[:8]) // what follows is counted in these already
		if err != nil {
			return nil, err
		}
		cores[i] = core{all - idle, all}
	}
	return cores, nil
}

func ticks(fields []string) (sum time.Duration, err error) {
	for _, field := range fields {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("reading /proc: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

var goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)

// goroutines is how many Caddy has.
func goroutines(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(adminPort)+"/debug/pprof/goroutine?debug=1", nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	profile, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	total := goroutineTotal.FindSubmatch(profile)
	if total == nil {
		return 0, errors.New("the profile does not say how many goroutines there are")
	}
	return strconv.Atoi(string(total[1]))
}
