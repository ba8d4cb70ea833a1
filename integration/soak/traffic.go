package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// sendTraffic has clients of all kinds at work.
func (s *soak) sendTraffic(ctx context.Context) {
	for kind, work := range map[string]struct {
		pause time.Duration
		do    func(c *client)
	}{
		"control":        {2 * time.Millisecond, (*client).control},
		"remembered":     {2 * time.Millisecond, remembered()},
		"session":        {2 * time.Millisecond, inSession()},
		"new token":      {20 * time.Millisecond, (*client).newToken},
		"once":           {50 * time.Millisecond, (*client).once},
		"login":          {100 * time.Millisecond, (*client).logIn},
		"WebSocket":      {300 * time.Millisecond, (*client).socket},
		"nothing":        {10 * time.Millisecond, (*client).nothing},
		"another person": {50 * time.Millisecond, (*client).anotherPerson},
		"failed":         {50 * time.Millisecond, (*client).failed},
		"rubbish":        {time.Millisecond, (*client).rubbish},
		"unknown token":  {time.Millisecond, (*client).unknown},
	} {
		c := newClient(s, kind)
		s.repeat(ctx, work.pause, func() { work.do(c) })
	}
}

// token is a token for a person, with which the operation was performed.
func (s *soak) token(person bws.BCID, o bwstest.Outcome) string {
	token := s.service.Token(bwstest.TokenSpec{BCID: person})
	s.service.Perform(token, o)
	return token
}

var recognized = bwstest.Outcome{Success: true}

func (c *client) control() {
	n := c.node()
	c.wants(http.StatusOK, n, c.get(n, "/control"))
}

// remembered sends the same token for some time.
func remembered() func(*client) {
	var token string
	var until time.Time
	return func(c *client) {
		if time.Now().After(until) {
			token, until = c.token(alice, recognized), time.Now().Add(time.Minute)
		}
		n := c.node()
		c.wants(http.StatusOK, n, c.get(n, "/person", "X-BWS-Token", token))
	}
}

// inSession begins a session now and then. Within it, no outage of BWS counts.
func inSession() func(*client) {
	var cookie string
	var until time.Time
	return func(c *client) {
		n := c.node()
		if time.Now().After(until) {
			a := c.get(n, "/private", "X-BWS-Token", c.token(alice, recognized))
			if c.wants(http.StatusOK, n, a) && len(a.Cookies()) > 0 {
				cookie, until = a.Cookies()[0].Name+"="+a.Cookies()[0].Value, time.Now().Add(20*time.Second)
			}
			return
		}
		a := c.get(n, "/private", "Cookie", cookie)
		causes := c.causes.between(a.from, a.until, n.name)
		delete(causes, causeOutage)
		if (a.err != nil || a.StatusCode != http.StatusOK) && !excused(a, causes) {
			c.verdicts.fail("a session on node %s: %s %v; what was wrong then: %v", n.name, a, a.err, causes)
		}
	}
}

func (c *client) newToken() {
	n := c.node()
	c.wants(http.StatusOK, n, c.get(n, "/person", "X-BWS-Token", c.token(alice, recognized)))
}

// once sends a token to two nodes at the same time. One of them at most lets it pass, for which the app looks.
func (c *client) once() {
	token := c.token(alice, recognized)
	tries := make(chan *answer)
	first, second := c.nodes[0], c.nodes[1+rand.N(nodes-1)]
	for _, n := range []*node{first, second} {
		go func() { tries <- c.get(n, "/once", "X-BWS-Token", token, headerRedeem, token) }()
	}
	passed := 0
	for range 2 {
		if a := <-tries; a.err == nil && a.StatusCode == http.StatusOK {
			passed++
		}
	}
	if passed > 1 {
		c.verdicts.fail("a token has passed twice where it is good for one request")
	}
	third := c.node()
	if passed == 1 {
		c.never(third, c.get(third, "/once", "X-BWS-Token", token, headerNever, "1"), "spent")
	}
}

// logIn does what a browser does, on one node after the other. One in four is not recognized.
func (c *client) logIn() {
	jar, _ := cookiejar.New(nil)
	browser := *c.http
	browser.Jar = jar
	navigate := []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	n := c.node()
	a := c.getURL("http://"+n.addr+"/login", &browser, append(navigate, headerNever, "1")...)
	if !c.wants(http.StatusSeeOther, n, a) {
		return
	}
	asked, _ := url.Parse(a.Header.Get("Location"))
	query := asked.Query()
	good := rand.N(4) > 0
	c.service.Perform(query.Get("access_token"), bwstest.Outcome{Success: good})

	n = c.node()
	back, err := url.Parse(query.Get("return_url"))
	if err != nil || back.Path != "/login" {
		c.verdicts.fail("a login returns to %q", query.Get("return_url"))
		return
	}
	back.Host, back.RawQuery = n.addr, "access_token="+query.Get("access_token")+"&state="+query.Get("state")
	a = c.getURL(back.String(), &browser, append(navigate, headerNever, "1")...)
	if !c.wants(http.StatusSeeOther, n, a) {
		return
	}
	if a.Header.Get("Location") != "/login" {
		c.verdicts.fail("a login ends at %q", a.Header.Get("Location"))
	}
	causes := c.causes.between(a.from, a.until, n.name)
	n = c.node()
	if !good {
		a = c.getURL("http://"+n.addr+"/login", &browser, append(navigate, headerNever, "1")...)
		if a.err == nil && a.StatusCode == http.StatusOK {
			c.verdicts.fail("a login without recognition lets in")
		}
		return
	}
	if a = c.getURL("http://"+n.addr+"/login", &browser, navigate...); !causes[causeOutage] {
		c.wants(http.StatusOK, n, a)
	}
}

// socket talks over a connection that has left HTTP.
func (c *client) socket() {
	n := c.node()
	from := time.Now()
	status, err := c.talk(n)
	if causes := c.causes.between(from, time.Now(), n.name); (err != nil || status != http.StatusSwitchingProtocols) && len(causes) == 0 {
		c.verdicts.fail("a WebSocket on node %s: %d %v", n.name, status, err)
	}
	c.figures.took(c.kind, &answer{from: from, until: time.Now(), err: err, Response: &http.Response{StatusCode: status}})
}

func (c *client) talk(n *node) (status int, err error) {
	connection, err := c.dialer().Dial("tcp", n.addr)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(15 * time.Second))
	_, err = fmt.Fprintf(connection, "GET /person/socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"X-BWS-Token: %s\r\n%s: %s\r\n\r\n", n.addr, c.token(alice, recognized), headerKind, c.kind)
	if err != nil {
		return 0, err
	}
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return response.StatusCode, response.Body.Close()
	}
	for range 20 {
		word := make([]byte, 4)
		if _, err := io.WriteString(connection, "echo"); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(reader, word); err != nil || string(word) != "echo" {
			return 0, fmt.Errorf("echoed %q: %w", word, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return response.StatusCode, nil
}

func (c *client) nothing() {
	n := c.node()
	c.never(n, c.get(n, "/person", headerNever, "1", headerBCID, alice.String()), "no_token")
}

func (c *client) anotherPerson() {
	n := c.node()
	c.never(n, c.get(n, "/person", headerNever, "1", "X-BWS-Token", c.token(bob, recognized)), "bcid_not_allowed")
}

func (c *client) failed() {
	n := c.node()
	c.never(n, c.get(n, "/private", headerNever, "1", "X-BWS-Token", c.token(alice, bwstest.Outcome{Error: bws.LiveDetectionFailed})),
		"live_detection_failed")
}

func (c *client) rubbish() {
	n := c.node()
	c.never(n, c.get(n, "/person", headerNever, "1", "X-BWS-Token", strings.Repeat("x", 1+rand.N(5000))), "malformed_token")
}

// foreign makes tokens that are well-formed and that BWS has never made.
var foreign = bwstest.New(bwstest.Config{})

func (c *client) unknown() {
	n := c.node()
	token := foreign.Token(bwstest.TokenSpec{BCID: alice})
	c.never(n, c.get(n, "/person", headerNever, "1", "X-BWS-Token", token), "rejected_token", "rate_limited", "service_busy")
}
