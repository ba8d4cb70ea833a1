// Command compare measures the gate beside what else protects a route of Caddy: forward_auth to an adapter that asks BWS, with
// and without a cache of its own, and basic_auth. Everything runs on this machine: Caddy on one core, wrk and all that Caddy
// talks to on the other.
//
//	go run ./bench/compare           # prints the tables, in some ten minutes
//	go run ./bench/compare -write    # puts them into bench/README.md, too
//
// It needs Linux and two cores, and takes wrk from Debian's packages if it is missing.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 7, "how often each row is measured")
	seconds := flag.Int("seconds", 4, "how long each measurement takes")
	write := flag.Bool("write", false, "put the tables into bench/README.md")
	flag.Parse()
	if err := run(*rounds, time.Duration(*seconds)*time.Second, *write); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(rounds int, each time.Duration, write bool) error {
	if err := prepare(); err != nil {
		return err
	}
	stubs, err := startStubs()
	if err != nil {
		return err
	}
	defer stubs.close()
	server, err := startCaddy(stubs)
	if err != nil {
		return err
	}
	defer server.stop()

	report := newReport()
	if err := measure(report, server, stubs, rounds, each); err != nil {
		return err
	}
	if err := measureDelayed(report, server, stubs, each); err != nil {
		return err
	}
	if err := probe(report, server, stubs, each); err != nil {
		return err
	}
	fmt.Print(report.String())
	if write {
		return report.write("bench/README.md")
	}
	return nil
}

// prepare installs wrk, and leaves the first core to Caddy.
func prepare() error {
	if _, err := exec.LookPath("wrk"); err != nil {
		install := []string{"apt-get", "install", "-qq", "--no-install-recommends", "wrk"}
		if os.Geteuid() != 0 {
			install = append([]string{"sudo"}, install...)
		}
		if out, err := exec.Command(install[0], install[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("installing wrk, which measures: %w\n%s", err, out)
		}
	}
	pin := exec.Command("taskset", "-apc", "1", strconv.Itoa(os.Getpid())) //nolint:gosec // our own number
	if out, err := pin.CombinedOutput(); err != nil {
		return fmt.Errorf("moving to the second core, which wrk needs besides Caddy's: %w\n%s", err, out)
	}
	return nil
}
