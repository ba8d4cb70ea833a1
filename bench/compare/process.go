package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// process is a program that runs on a core.
type process struct {
	pid   int
	end   context.CancelFunc
	ended chan error
}

// launch starts a program of the given folder and waits until it listens.
func launch(ctx context.Context, core, port int, dir, name string, args ...string) (*process, error) {
	if reachable(port) {
		return nil, fmt.Errorf("%s cannot start: something else listens on port %d", name, port)
	}
	ctx, end := context.WithCancel(ctx)
	args = append([]string{"-c", strconv.Itoa(core), filepath.Join(dir, name)}, args...)
	home := filepath.Join(dir, "home")
	command := exec.CommandContext(ctx, "taskset", args...)
	command.Env = append(os.Environ(), "GOMAXPROCS=1", "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	command.Stderr = os.Stderr
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		end()
		return nil, err
	}
	p := &process{command.Process.Pid, end, make(chan error, 1)}
	go func() {
		err := command.Wait()
		if ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "%s ended by itself: %v\n", name, command.ProcessState)
		}
		p.ended <- err
	}()
	for range 200 {
		select {
		case err := <-p.ended:
			end()
			return nil, fmt.Errorf("%s ended: %w", name, err)
		case <-time.After(50 * time.Millisecond):
		}
		if reachable(port) {
			return p, nil
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not listen on port %d", name, port)
}

func (p *process) stop() {
	if p != nil {
		p.end()
		<-p.ended //nolint:errcheck // it was told to end
	}
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func reachable(port int) bool {
	connection, err := net.DialTimeout("tcp", address(port), time.Second)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}
