package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// load is what wrk reports.
type load struct {
	requests  int
	perSecond float64
	p50, p99  time.Duration
	// refused had an answer other than 2xx or 3xx, failed had none.
	refused, failed int
	// cpu is the time that wrk itself has used.
	cpu time.Duration
}

var (
	requestsLine = regexp.MustCompile(`(\d+) requests in`)
	rateLine     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	latencyLine  = regexp.MustCompile(`(50|99)%\s+([\d.]+)(us|ms|s|m)\b`)
	refusedLine  = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	failedLine   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

// many connections show how much Caddy can do, a single one how long it takes.
const many, single = 32, 1

// wrk sends requests from its core.
func wrk(ctx context.Context, port int, headers http.Header, connections int, d time.Duration) (load, error) {
	args := []string{
		"-c", strconv.Itoa(wrkCore), "wrk", "--latency", "-t1", "-c" + strconv.Itoa(connections),
		fmt.Sprintf("-d%ds", max(1, d/time.Second)),
	}
	for name, values := range headers {
		for _, value := range values {
			args = append(args, "-H", name+": "+value)
		}
	}
	args = append(args, "http://"+address(port)+"/")
	command := exec.CommandContext(ctx, "taskset", args...)
	out, err := command.CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	l, err := parseWrk(string(out))
	l.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return l, err
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
	if l.refused, err = sum(refusedLine.FindStringSubmatch(out)); err != nil {
		return load{}, err
	}
	l.failed, err = sum(failedLine.FindStringSubmatch(out))
	return l, err
}

// sum adds up the numbers that an expression has found, if it has.
func sum(match []string) (total int, err error) {
	for i, number := range match {
		if i == 0 {
			continue // the whole match
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
