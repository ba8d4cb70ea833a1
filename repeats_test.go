package caddybws

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// logged returns both logs of a gate.
func logged(g *Gate) (gate, audit *observer.ObservedLogs) {
	core, logs := observer.New(zap.InfoLevel)
	g.logger = zap.New(core)
	return logs, audited(g)
}

// attack sends requests of one client.
func attack(t testing.TB, times int, client string, headers []string, gates ...caddyhttp.MiddlewareHandler) {
	t.Helper()
	as := handlerFunc(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, client)
		return next.ServeHTTP(w, r)
	})
	for i := range times {
		r := get(headers...)
		r.URL.Path = fmt.Sprintf("/%d", i+1)
		send(t, r, append([]caddyhttp.MiddlewareHandler{as}, gates...)...)
	}
}

// sweep has the service tell what has ended, as its timers do.
func (s *site) sweep() {
	for i := range s.service.repeats.shards {
		s.service.repeats.sweep(&s.service.repeats.shards[i])
	}
}

// decisions counts what lines of a log stand for.
func decisions(logs *observer.ObservedLogs) (decisions int) {
	for _, line := range logs.All() {
		if n, ok := line.ContextMap()["repeated"].(int64); ok {
			decisions += int(n)
		} else {
			decisions++
		}
	}
	return decisions
}

func checkTold(t *testing.T, what string, logs *observer.ObservedLogs, lines, stoodFor int) {
	t.Helper()
	if logs.Len() != lines || decisions(logs) != stoodFor {
		t.Errorf("%s: %d lines for %d decisions, want %d for %d", what, logs.Len(), decisions(logs), lines, stoodFor)
	}
}

// A client that goes on and on is told of in few lines, and none of its requests is lost.
func TestRepeatedDenials(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	log, audit := logged(g)
	attack(t, 100, "192.0.2.1", nil, g)
	checkTold(t, "log, at first", log, toldInFull, toldInFull)
	checkTold(t, "audit, at first", audit, toldInFull, toldInFull)

	s.pass(alikeWithin - 1)
	s.sweep()
	checkTold(t, "before the minute ends", log, toldInFull, toldInFull)
	s.pass(1)
	s.sweep()
	checkTold(t, "log, after the client has gone", log, toldInFull+1, 100)
	checkTold(t, "audit, after the client has gone", audit, toldInFull+1, 100)

	summary := log.All()[toldInFull].ContextMap()
	want := map[string]any{"reason": "no_token", "client_ip": "192.0.2.1", "host": "app.example", "path": "/6", "repeated": int64(95),
		"service": "default", "method": "GET"}
	for name, value := range want {
		if summary[name] != value {
			t.Errorf("the line that stands for many has %s %v, want %v", name, summary[name], value)
		}
	}
	if got := audit.All()[toldInFull]; got.Message != "denied" || got.ContextMap()["decision"] != "deny" || got.Level != zap.InfoLevel {
		t.Errorf("the audit log says %+v", got)
	}
}

// A new minute begins with lines in full, and with what is left of the one before.
func TestRepeatedDenialsGoOn(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	log, _ := logged(g)
	attack(t, 8, "192.0.2.1", nil, g)
	s.pass(alikeWithin)
	attack(t, 1, "192.0.2.1", nil, g)
	checkTold(t, "in the next minute", log, toldInFull+2, 9)
	attack(t, toldInFull, "192.0.2.1", nil, g)
	s.pass(-time.Hour)
	attack(t, 1, "192.0.2.1", nil, g)
	checkTold(t, "after the clock was set back", log, toldInFull+1+toldInFull+1+1, 8+1+toldInFull+1)
}

// What differs in more than the path is not alike.
func TestDenialsThatDiffer(t *testing.T) {
	for name, test := range map[string]struct {
		other  string
		header string
		same   bool
	}{
		"another client":                  {other: "192.0.2.2"},
		"another network":                 {other: "2001:db8:0:1::1"},
		"another address of its network":  {other: "2001:db8::2", same: true},
		"the same address written longer": {other: "2001:0db8::0001", same: true},
		"another reason":                  {other: "2001:db8::1", header: "X-BWS-Token: nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			g := s.gate(t, Gate{})
			log, _ := logged(g)
			attack(t, toldInFull, "2001:db8::1", nil, g)
			var headers []string
			if test.header != "" {
				headers = []string{test.header}
			}
			attack(t, 1, test.other, headers, g)
			if held := log.Len() == toldInFull; held != test.same {
				t.Errorf("held back: %v, want %v", held, test.same)
			}
		})
	}
	s := newSite(t)
	g, other := s.gate(t, Gate{BCID: []string{bob.String()}}), s.gate(t, Gate{BCID: []string{bob.String()}})
	_, audit := logged(g)
	_, others := logged(other)
	attack(t, toldInFull, "192.0.2.1", []string{"X-BWS-Token: " + s.goodToken()}, g)
	carol := alice
	carol.Class++
	carol.Partition++
	token := s.Token(bwstest.TokenSpec{BCID: carol})
	s.Perform(token, bwstest.Outcome{Success: true})
	attack(t, 1, "192.0.2.1", []string{"X-BWS-Token: " + token}, g)
	checkTold(t, "another person", audit, toldInFull+1, toldInFull+1)
	attack(t, 1, "192.0.2.1", []string{"X-BWS-Token: " + s.goodToken()}, other)
	checkTold(t, "another gate", others, 1, 1)
}

// An allow is always told.
func TestRepeatedAllows(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	_, audit := logged(g)
	attack(t, 20, "192.0.2.1", []string{"X-BWS-Token: " + s.goodToken()}, g)
	checkTold(t, "allowed", audit, 20, 20)
}

// Nothing is lost when Caddy stops or gets another configuration, nor of what comes after that.
func TestRepeatedDenialsAtTheEnd(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	log, _ := logged(g)
	attack(t, 30, "192.0.2.1", nil, g)
	app := &App{Services: map[string]*Service{"default": s.service}}
	if err := app.Stop(); err != nil {
		t.Fatal(err)
	}
	checkTold(t, "after the end", log, toldInFull+1, 30)
	attack(t, 20, "192.0.2.1", nil, g)
	checkTold(t, "in flight at the end", log, toldInFull+1+20, 50)
}

// However many clients there are, memory is bounded, and the count is right.
func TestRepeatedDenialsOfMany(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	log, _ := logged(g)
	const clients, each = 3 * repeatShards * maxSeries, toldInFull + 2
	for i := range clients {
		client := fmt.Sprintf("10.%d.%d.1", i/256, i%256)
		attack(t, each, client, nil, g)
	}
	kept := 0
	for i := range s.service.repeats.shards {
		kept += len(s.service.repeats.shards[i].series)
	}
	if kept > repeatShards*maxSeries {
		t.Errorf("%d series are kept", kept)
	}
	s.service.repeats.stop()
	checkTold(t, "many clients", log, clients*(toldInFull+1), clients*each)
}

// What a client has chosen is kept in part only.
func TestRepeatedDenialsKeepLittle(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	log, _ := logged(g)
	for range toldInFull + 1 {
		r := get()
		r.URL.Path, r.Host = "/"+strings.Repeat("x", 1<<20), strings.Repeat("y", 1<<20)
		send(t, r, g)
	}
	s.service.repeats.stop()
	summary := log.All()[toldInFull].ContextMap()
	for _, name := range []string{"path", "host"} {
		if n := len(summary[name].(string)); n != longestKept {
			t.Errorf("%d bytes of the %s are kept", n, name)
		}
	}
}

// Where nobody reads the logs, nothing is counted.
func TestRepeatedDenialsUnread(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	attack(t, 10, "192.0.2.1", nil, g)
	for i := range s.service.repeats.shards {
		if n := len(s.service.repeats.shards[i].series); n > 0 {
			t.Errorf("%d series are kept", n)
		}
	}
}

func TestRepeatedDenialsAtOnce(t *testing.T) {
	s := newSite(t)
	g := s.gate(t, Gate{})
	log, audit := logged(g)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			attack(t, 50, "192.0.2.1", nil, g)
			s.sweep()
		})
	}
	all.Wait()
	s.service.repeats.stop()
	checkTold(t, "log", log, toldInFull+1, 400)
	checkTold(t, "audit", audit, toldInFull+1, 400)
}

// The timer tells of a client that has gone.
func TestRepeatedDenialsByTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan int, 1)
		r := newRepeats(time.Now)
		for range toldInFull + 3 {
			r.holdBack(likeness{}, func() func(int) { return func(n int) { told <- n } })
		}
		time.Sleep(alikeWithin + time.Second)
		select {
		case n := <-told:
			if n != 3 {
				t.Errorf("told of %d", n)
			}
		default:
			t.Error("nobody was told")
		}
	})
}

func BenchmarkDeniedAgain(b *testing.B) {
	s := newSite(b)
	g := s.gate(b, Gate{})
	core, _ := observer.New(zap.InfoLevel)
	g.logger = zap.New(core)
	serve(b, g, "Cookie: theme=dark")
}
