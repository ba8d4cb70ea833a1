// Command compare measures the gate beside what else protects a route of Caddy: forward_auth to an adapter that asks BWS, with
// and without a cache of its own, and basic_auth. Everything runs on this machine: Caddy on one core, wrk and all that Caddy
// talks to on the other.
//
//	go run ./bench/compare           # prints the tables, in less than fifteen minutes
//	go run ./bench/compare -write    # puts them into bench/README.md, too
//
// It needs Linux and two cores, and takes wrk from Debian's packages if it is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// effort is how long to measure.
type effort struct {
	rounds int
	// each is the time of one measurement.
	each time.Duration
	// warmUp is how long a row is used before it is measured for the first time.
	warmUp time.Duration
}

func main() {
	rounds := flag.Int("rounds", 7, "how often each row is measured")
	seconds := flag.Int("seconds", 10, "how long each measurement takes")
	warmUp := flag.Int("warmup", 3, "how many seconds each row is used before it is measured")
	write := flag.Bool("write", false, "put the tables into bench/README.md")
	flag.Parse()
	if *rounds < 1 || *seconds < 1 || *warmUp < 0 {
		fmt.Fprintln(os.Stderr, "compare: -rounds and -seconds are 1 or more, -warmup is not negative")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, effort{*rounds, time.Duration(*seconds) * time.Second, time.Duration(*warmUp) * time.Second}, *write)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, e effort, write bool) error {
	if err := install(ctx); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := newLab(ctx, dir)
	if err != nil {
		return err
	}
	defer l.close()

	r := newReport()
	for _, t := range tables {
		if err := l.measure(ctx, r, t, e); err != nil {
			return err
		}
	}
	if err := l.herds(ctx, r); err != nil {
		return err
	}
	if err := l.trouble(ctx, r); err != nil {
		return err
	}
	fmt.Print(r.String())
	if write {
		return r.write()
	}
	return nil
}
