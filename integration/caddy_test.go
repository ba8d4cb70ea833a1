// Package integration tests the module through a real Caddy: a process of its own, real sockets, a real app behind it.
package integration

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is Caddy with the module and the emulator, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "caddy-bws-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "caddy")
	build := exec.Command("go", "build", "-race", "-o", binary, "../cmd/caddy")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	code := m.Run()
	if code == 0 {
		if err := checkCases(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// caddyProcess is a running Caddy.
type caddyProcess struct {
	t       *testing.T
	command *exec.Cmd
	logs    logBuffer
	// Addr is the loopback address on which the test's site listens.
	Addr string
	// Admin is the address of the admin API.
	Admin string
	// Home is where Caddy keeps its state.
	Home string
	// leaks says that the log shows secrets, which the test is about.
	leaks bool
	// Program is what is run in place of binary, and Env what it finds in its environment besides.
	Program string
	Env     []string
}

// startCaddy runs Caddy with a Caddyfile in which {addr} stands for the site's address. The file begins with the global
// options, to which the harness adds those it needs, and a log that shows everything but tokens.
func startCaddy(t *testing.T, globalOptions, sites string) *caddyProcess {
	t.Helper()
	c := &caddyProcess{t: t, Addr: freeAddr(t), Admin: freeAddr(t)}
	c.runSites(globalOptions, sites)
	return c
}

// runSites is startCaddy for a process that has been set up.
func (c *caddyProcess) runSites(globalOptions, sites string) {
	c.t.Helper()
	if !strings.Contains(globalOptions, "log {") {
		globalOptions += "\nlog {\nformat bws\n}\n" // as docs/operations.md advises
	}
	c.run(fmt.Sprintf("{\n\tadmin %s\n\tauto_https off\n\tdebug\n%s\n}\n%s",
		c.Admin, globalOptions, strings.ReplaceAll(sites, "{addr}", "http://"+c.Addr)))
}

func (c *caddyProcess) run(caddyfile string) {
	c.t.Helper()
	c.Home = c.t.TempDir()
	config := filepath.Join(c.Home, "Caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.command = exec.Command(cmp.Or(c.Program, binary), "run", "--config", config, "--adapter", "caddyfile")
	c.command.Env = append(environ(c.Home), c.Env...)
	c.command.Stdout, c.command.Stderr = &c.logs, &c.logs
	if err := c.command.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(c.stop)
	c.waitForLog("serving initial configuration")
}

// environ is the environment of a Caddy that keeps its state in a folder.
func environ(home string) []string {
	return append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
}

var raceReport = regexp.MustCompile(`(?s)={18}\nWARNING: DATA RACE\n.*?\n={18}\n`)

// stop ends Caddy as an operator would, and fails the test if it had seen a data race or a panic, or has logged a secret.
func (c *caddyProcess) stop() {
	_ = c.command.Process.Signal(syscall.SIGINT)
	_ = c.command.Wait()
	logs := raceReport.ReplaceAllStringFunc(c.logs.String(), func(report string) string {
		// Caddy may serve before its app for TLS has started, which each event of a handshake copies.
		if strings.Contains(report, "caddytls.(*TLS).CaddyModule()") && strings.Contains(report, "caddytls.(*TLS).Start()") {
			return ""
		}
		return report
	})
	for _, trouble := range []string{"WARNING: DATA RACE", "panic:", "\"panic\""} {
		if strings.Contains(logs, trouble) {
			c.t.Errorf("Caddy's log has %q:\n%s", trouble, c.logs.String())
		}
	}
	if !c.leaks {
		checkLeaks(c.t, c.logs.String())
	}
}

// waitForLog waits until the log has a text, which happens, or Caddy ends, or the machine is stuck.
func (c *caddyProcess) waitForLog(text string) {
	c.t.Helper()
	for range 2400 {
		if strings.Contains(c.logs.String(), text) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatalf("Caddy did not log %q:\n%s", text, c.logs.String())
}

// caddy runs a command of the binary, which fails for a Caddyfile that is not formatted, too, and returns what it prints.
func caddy(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command(binary, args...)
	var stderr strings.Builder
	command.Stderr = &stderr
	home := t.TempDir()
	command.Env = environ(home)
	out, err := command.Output()
	if err != nil || strings.Contains(stderr.String(), "is not formatted") {
		t.Errorf("caddy %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// lastPort counts the ports that were given out. They are below those that a system gives to connections, which could take one
// before Caddy listens.
var lastPort atomic.Uint32

// freeAddr returns a loopback address on which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 10_000 {
		port := 20_000 + (uint32(os.Getpid())*101+lastPort.Add(1))%10_000
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// logBuffer is a buffer that a process writes and a test reads.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// client sends what it is told and follows nothing.
var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       30 * time.Second,
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
