package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// client is somebody who sends one kind of requests, from addresses of its own.
type client struct {
	*soak
	kind string
	http *http.Client
}

func newClient(s *soak, kind string) *client {
	c := &client{soak: s, kind: kind}
	c.http = &http.Client{
		Timeout:       15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableCompression: true, IdleConnTimeout: time.Second,
			// Who brings one new token after the other has a connection for each, and with it an address.
			DisableKeepAlives: kind != "control" && kind != "remembered" && kind != "session",
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return c.dialer().DialContext(ctx, network, addr)
			},
		},
	}
	return c
}

// dialer connects from any of many addresses, as honest people do; the floods come from one, which client_rate limits.
func (c *client) dialer() *net.Dialer {
	from := net.IPv4(127, 1, byte(rand.N(250)), byte(1+rand.N(250)))
	if c.kind == "unknown token" || c.kind == "rubbish" {
		from = net.IPv4(127, 2, 0, 1)
	}
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
}

// node is one that serves, as a balancer would find one.
func (c *client) node() *node {
	for {
		if n := c.nodes[rand.N(nodes)]; !n.down.Load() {
			return n
		}
	}
}

// answer is what came of a request.
type answer struct {
	*http.Response
	reason      string
	from, until time.Time
	err         error
}

func (a *answer) String() string {
	if a.err != nil {
		return "error"
	}
	return strings.TrimSpace(fmt.Sprint(a.StatusCode, " ", a.reason))
}

// get sends a request to a node. Headers are names and values.
func (c *client) get(n *node, path string, headers ...string) *answer {
	return c.getURL("http://"+n.addr+path, c.http, headers...)
}

func (c *client) getURL(target string, by *http.Client, headers ...string) *answer {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return &answer{err: err}
	}
	r.Header.Set(headerKind, c.kind)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a := &answer{from: time.Now()}
	if a.Response, a.err = by.Do(r); a.err == nil { //nolint:bodyclose // it is, two lines below
		defer a.Body.Close()
		var body []byte
		if body, a.err = io.ReadAll(a.Body); a.err == nil {
			var problem struct{ Reason string }
			_ = json.Unmarshal(body, &problem)
			if a.reason = problem.Reason; a.reason == "" {
				_, code, _ := strings.Cut(string(body), "<code>") // of the page
				a.reason, _, _ = strings.Cut(code, "</code>")
			}
		}
	}
	a.until = time.Now()
	c.figures.took(c.kind, a)
	return a
}

// wants checks the outcome of a request that is authorized. Only what has gone wrong on purpose excuses another one.
func (c *client) wants(status int, n *node, a *answer) bool {
	if a.err == nil && a.StatusCode == status {
		return true
	}
	if causes := c.causes.between(a.from, a.until, n.name); !excused(a, causes) {
		c.verdicts.fail("%s on node %s: %s %v, want %d; what was wrong then: %v", c.kind, n.name, a, a.err, status, causes)
	}
	return false
}

// excused reports whether an outcome can come of what has gone wrong.
func excused(a *answer, causes map[cause]bool) bool {
	if a.err != nil {
		return causes[causeKill] || causes[causeReload]
	}
	switch a.reason {
	case "service_unavailable", "service_timeout", "service_busy":
		return causes[causeOutage]
	case "ledger_unavailable": // a node that begins has not read it yet
		return causes[causeKill]
	}
	return false
}

// never checks that a request was denied for one of the reasons, or because something goes wrong.
func (c *client) never(n *node, a *answer, reasons ...string) {
	causes := c.causes.between(a.from, a.until, n.name)
	if a.err == nil && slices.Contains(reasons, a.reason) || excused(a, causes) {
		return
	}
	c.verdicts.fail("%s on node %s: %s %v, want %v; what was wrong then: %v", c.kind, n.name, a, a.err, reasons, causes)
}
