// Command soak has a cluster of three Caddys serve mixed traffic while things go wrong, and checks what must hold at any time:
//
//   - no request that is not authorized reaches the app;
//   - none that is gets denied, unless there is a cause that was injected;
//   - no token is used twice on a route with once;
//   - memory, goroutines and file descriptors do not grow.
//
// What goes wrong: BWS fails for some seconds now and then, in different ways; every five seconds a node reloads its configuration;
// every half a minute one is killed and started again. Beside that, there are floods of rubbish, and of tokens that BWS does not know.
//
//	go run ./integration/soak -for 10m
//	go run ./integration/soak -for 1h -page docs/reliability.md
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

var (
	duration = flag.Duration("for", 10*time.Minute, "how long the traffic goes on")
	page     = flag.String("page", "", "a page whose part between <!-- soak --> and <!-- /soak --> is to be the report")
)

func main() {
	flag.Parse()
	log.SetFlags(log.Ltime)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "caddy")
	build := exec.Command("go", "build", "-o", binary, "./cmd/caddy")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building Caddy, which only works at the top of the repository: %w", err)
	}
	s := newSoak(dir, binary)
	defer s.stop()
	if err := s.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), *duration)
	defer cancel()
	s.misbehave(ctx)
	s.sendTraffic(ctx)
	s.watch(ctx)
	s.work.Wait()

	s.checkGrowth()
	report := s.report(*duration)
	fmt.Print(report)
	if *page != "" {
		if err := writeInto(*page, report); err != nil {
			return err
		}
	}
	if broken := s.verdicts.broken(); len(broken) > 0 {
		return fmt.Errorf("%d rules were broken, of which the first: %s", len(broken), broken[0])
	}
	return nil
}
