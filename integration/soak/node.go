package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// caddyfile is that of each node. {generation} differs from one reload to the next.
const caddyfile = `{
	admin {admin}
	auto_https off
	persist_config off
	grace_period 5s
	log {
		output discard
	}
	bws {
		endpoint {bws}
		app_id {app_id}
		app_secret {app_secret}
		timeout 2s
		client_rate 300 1m
		storage file_system {storage}
	}
}

http://{addr} {
	header X-Generation {generation}
	bws_logout /logout
	bws /once* {
		bcid bioid/9876/1
		once
	}
	bws /person* {
		bcid bioid/9876/1
	}
	bws /private* {
		bcid bioid/9876/1
		session 30m {
			idle 10m
		}
	}
	bws /login* {
		bcid bioid/9876/1
		session
		login {
			ui {ui}
		}
	}
	reverse_proxy {app} {
		stream_close_delay 1m
	}
}
`

// node is a Caddy of the cluster.
type node struct {
	*soak
	name        string
	addr, admin string
	config      string
	command     *exec.Cmd
	down        atomic.Bool
	generation  atomic.Int64
}

// start chooses where the node listens, and runs it.
func (n *node) start() (err error) {
	if n.addr, err = freeAddr(); err != nil {
		return err
	}
	if n.admin, err = freeAddr(); err != nil {
		return err
	}
	n.config = filepath.Join(n.dir, "node-"+n.name)
	if err := os.WriteFile(n.config, []byte(n.caddyfile()), 0o600); err != nil {
		return err
	}
	return n.run()
}

func (n *node) caddyfile() string {
	return strings.NewReplacer("{admin}", n.admin, "{addr}", n.addr, "{bws}", n.bws.URL+bwstest.Base, "{app_id}", bwstest.AppID,
		"{app_secret}", bwstest.AppSecret, "{storage}", filepath.Join(n.dir, "storage"), "{ui}", n.bws.URL+bwstest.PerformTask,
		"{app}", n.app.Listener.Addr().String(), "{generation}", fmt.Sprint(n.generation.Load())).Replace(caddyfile)
}

// run runs the node, and returns when it serves.
func (n *node) run() error {
	home := filepath.Join(n.dir, "home-"+n.name)
	n.command = exec.Command(n.binary, "run", "--config", n.config, "--adapter", "caddyfile")
	n.command.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	var trouble bytes.Buffer
	n.command.Stderr = &trouble
	if err := n.command.Start(); err != nil {
		return err
	}
	for range 600 {
		if answer, err := http.Get("http://" + n.admin + "/bws/health"); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK || n.outage.Load() != 0 {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("it did not get ready: %s", trouble.String())
}

func (n *node) kill() {
	_ = n.command.Process.Kill()
	_ = n.command.Wait()
}

func (n *node) stop() {
	if n.command != nil {
		n.kill()
	}
}

// reload loads a configuration that differs from the one before.
func (n *node) reload(ctx context.Context) error {
	n.generation.Add(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.admin+"/load", strings.NewReader(n.caddyfile()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "text/caddyfile")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, body)
	}
	return nil
}

// freeAddr returns a loopback address on which nobody listens, below those that the system gives to connections.
func freeAddr() (string, error) {
	for range 100 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no port is free")
}
