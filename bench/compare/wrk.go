package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// load is what wrk reports.
type load struct {
	requests  int
	perSecond float64
	p50, p99  time.Duration
	refused   int
}

var (
	requestsLine = regexp.MustCompile(`(\d+) requests in`)
	rateLine     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	latencyLine  = regexp.MustCompile(`(50|99)%\s+([\d.]+)(us|ms|s)`)
	refusedLine  = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

// many connections show how much Caddy can do, a single one how long it takes.
const many, single = "-c32", "-c1"

// wrk sends requests from the second core.
func wrk(port int, headers []string, connections string, d time.Duration) (load, error) {
	seconds := strconv.Itoa(max(1, int(d/time.Second)))
	args := append(make([]string, 0, 8+2*len(headers)), "-c", "1", "wrk", "-t1", connections, "-d"+seconds+"s", "--latency")
	for _, header := range headers {
		args = append(args, "-H", header)
	}
	args = append(args, "http://127.0.0.1:"+strconv.Itoa(port)+"/")
	command := exec.Command("taskset", args...)
	out, err := command.CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parseWrk(string(out))
}

func parseWrk(out string) (load, error) {
	var l load
	requests, rate := requestsLine.FindStringSubmatch(out), rateLine.FindStringSubmatch(out)
	latencies := latencyLine.FindAllStringSubmatch(out, -1)
	if requests == nil || rate == nil || len(latencies) != 2 {
		return load{}, fmt.Errorf("wrk: cannot read\n%s", out)
	}
	var err error
	if l.requests, err = strconv.Atoi(requests[1]); err != nil {
		return load{}, err
	}
	if l.perSecond, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return load{}, err
	}
	for _, latency := range latencies {
		d, err := time.ParseDuration(latency[2] + latency[3])
		if err != nil {
			return load{}, err
		}
		if latency[1] == "50" {
			l.p50 = d
		} else {
			l.p99 = d
		}
	}
	if refused := refusedLine.FindStringSubmatch(out); refused != nil {
		if l.refused, err = strconv.Atoi(refused[1]); err != nil {
			return load{}, err
		}
	}
	return l, nil
}

// idle is how many ticks the second core, that of wrk, has had nothing to do, and how many there were.
func idle() (idle, all int, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(stat)) {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != "cpu1" {
			continue
		}
		for i, field := range fields[1:9] {
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, 0, err
			}
			all += n
			if i == 3 || i == 4 { // idle, and waiting for a disk
				idle += n
			}
		}
		return idle, all, nil
	}
	return 0, 0, fmt.Errorf("/proc/stat: there is no second core")
}
