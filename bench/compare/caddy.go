package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/PID/stat: Linux counts a hundred in a second on every platform that Caddy runs on.
const tick = 10 * time.Millisecond

// caddy is a running Caddy on the first core.
type caddy struct {
	command *exec.Cmd
	dir     string
}

func startCaddy(s *stubs) (*caddy, error) {
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return nil, err
	}
	c := &caddy{dir: dir}
	binary, config := filepath.Join(dir, "gated"), filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile(s)), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/caddy").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building Caddy: %w\n%s", err, out)
	}
	c.command = exec.Command("taskset", "-c", "0", binary, "run", "--config", config, "--adapter", "caddyfile")
	c.command.Env = append(os.Environ(), "GOMAXPROCS=1", "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	c.command.Stderr = os.Stderr
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if _, err = c.admin("/config/"); err == nil {
			return c, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.stop()
	return nil, fmt.Errorf("waiting for Caddy: %w", err)
}

func (c *caddy) stop() {
	_ = c.command.Process.Signal(os.Interrupt)
	_ = c.command.Wait()
	_ = os.RemoveAll(c.dir)
}

func (c *caddy) admin(path string) ([]byte, error) {
	response, err := http.Get("http://127.0.0.1:" + strconv.Itoa(adminPort) + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// cpu is the time that Caddy has worked so far.
func (c *caddy) cpu() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(c.command.Process.Pid) + "/stat")
	if err != nil {
		return 0, err
	}
	return parseCPU(stat)
}

// parseCPU adds up the fields utime and stime, which are the 14th and 15th. The second one is a name in parentheses.
func parseCPU(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat: too few fields")
	}
	var sum time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// goroutines is how many Caddy has.
func (c *caddy) goroutines() (int, error) {
	profile, err := c.admin("/debug/pprof/goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	match := regexp.MustCompile(`goroutine profile: total (\d+)`).FindSubmatch(profile)
	if match == nil {
		return 0, errors.New("the profile does not say how many goroutines there are")
	}
	return strconv.Atoi(string(match[1]))
}
