package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Caddy has a core to itself; wrk shares the other one with all that Caddy talks to.
const caddyCore, wrkCore = 0, 1

// lab is all that runs while it is measured.
type lab struct {
	caddy, adapter *process
	stubs          *stubs
}

// newLab builds Caddy and the adapter, and starts all.
func newLab(ctx context.Context, dir string) (*lab, error) {
	const module = "github.com/caddy-bws/caddy-bws"
	fmt.Fprintln(os.Stderr, "building Caddy")
	// With both cores, which is why it comes first.
	build := exec.CommandContext(ctx, "go", "build", "-o", dir, module+"/cmd/caddy", module+"/bench/adapter")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building Caddy and the adapter: %w\n%s", err, out)
	}
	if err := pinSelf(ctx); err != nil {
		return nil, err
	}
	l := new(lab)
	if err := l.start(ctx, dir); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) start(ctx context.Context, dir string) (err error) {
	if l.stubs, err = startStubs(); err != nil {
		return err
	}
	l.adapter, err = launch(ctx, wrkCore, adapterPort, dir, "adapter", "-listen", address(adapterPort),
		"-endpoint", "http://"+l.stubs.bws.addr+"/extension", "-id", bwstest.AppID, "-secret", bwstest.AppSecret)
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile(l.stubs)), 0o600); err != nil {
		return err
	}
	l.caddy, err = launch(ctx, caddyCore, adminPort, dir, "caddy", "run", "--config", config)
	return err
}

func (l *lab) close() {
	l.caddy.stop()
	l.adapter.stop()
	l.stubs.close()
}

// install takes wrk from Debian, and says what else is missing.
func install(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return errors.New("only Linux counts processor time in /proc and keeps programs on a core")
	}
	if runtime.NumCPU() < 2 {
		return errors.New("a second core is needed: wrk on Caddy's own would measure itself")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		return fmt.Errorf("taskset, of util-linux, is needed: %w", err)
	}
	if _, err := exec.LookPath("wrk"); err == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("install wrk (https://github.com/wg/wrk): without apt-get, this cannot be done here")
	}
	for _, args := range [][]string{{"update", "-qq"}, {"install", "-qq", "--no-install-recommends", "wrk"}} {
		args = append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get"}, args...)
		if os.Geteuid() != 0 {
			args = append([]string{"sudo"}, args...)
		}
		//nolint:gosec // written out above
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("installing wrk with apt-get: %w\n%s", err, out)
		}
	}
	return nil
}

// pinSelf moves this program, and so the stubs, to wrk's core.
func pinSelf(ctx context.Context) error {
	runtime.GOMAXPROCS(1)
	//nolint:gosec // our own number
	pin := exec.CommandContext(ctx, "taskset", "-apc", strconv.Itoa(wrkCore), strconv.Itoa(os.Getpid()))
	if out, err := pin.CombinedOutput(); err != nil {
		return fmt.Errorf("moving to the second core: %w\n%s", err, out)
	}
	return nil
}
