package caddybws

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func init() { caddy.RegisterModule(listener{}) }

// heard are the events that listeners get.
var heard chan caddy.Event

// listener is a handler of events, by configuration or by code.
type listener struct{}

func (listener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.bws_test", New: func() caddy.Module { return new(listener) }}
}

func (listener) Handle(_ context.Context, e caddy.Event) error {
	heard <- e
	return nil
}

// handlerOf is a handler of events that is a function.
type handlerOf func(caddy.Event)

func (h handlerOf) Handle(_ context.Context, e caddy.Event) error {
	h(e)
	return nil
}

// newListened returns events with a configuration of the events app and of logging, of which code may subscribe to more.
func newListened(t testing.TB, config string, logging *caddy.Logging, more ...func(*caddyevents.App)) *events {
	t.Helper()
	heard = make(chan caddy.Event, 100)
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Logging: logging, AppsRaw: caddy.ModuleMap{"events": json.RawMessage(config)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(ctx)
	t.Cleanup(cancel)
	e, err := newEvents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, subscribe := range more {
		subscribe(e.app)
	}
	return e
}

// listenTo has code listen to an event, "" for all.
func listenTo(name string) func(*caddyevents.App) {
	return func(app *caddyevents.App) { _ = app.On(name, listener{}) }
}

// Whoever listens is found, in whichever order apps start. The debug log alone does not listen.
func TestWhoListens(t *testing.T) {
	configured := func(names string) string {
		return `{"subscriptions":[{"events":[` + names + `],"handlers":[{"handler":"bws_test"}]}]}`
	}
	debug := &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "DEBUG"}}}}
	all := strings.Join(eventNames[:], " ")
	for name, test := range map[string]struct {
		config  string
		logging *caddy.Logging
		more    []func(*caddyevents.App)
		want    string
	}{
		"nobody":                 {config: `{}`},
		"nobody, debug":          {config: `{}`, logging: debug},
		"of others":              {config: configured(`"tls_get_certificate"`), more: []func(*caddyevents.App){listenTo("started")}},
		"one, configured":        {config: configured(`"bws.denied"`), want: "bws.denied"},
		"one, configured, debug": {config: configured(`"bws.denied"`), logging: debug, want: "bws.denied"},
		"two, configured":        {config: configured(`"bws.allowed","bws.service_up"`), want: "bws.allowed bws.service_up"},
		"all, configured":        {config: configured(``), want: all},
		"all, by an empty name":  {config: configured(`""`), want: all},
		"one, by code":           {config: `{}`, more: []func(*caddyevents.App){listenTo("bws.service_down")}, want: "bws.service_down"},
		"one, by code, debug": {
			config: `{}`, logging: debug, more: []func(*caddyevents.App){listenTo("bws.service_down")}, want: "bws.service_down",
		},
		"all, by code":        {config: `{}`, more: []func(*caddyevents.App){listenTo("")}, want: all},
		"all, by code, debug": {config: `{}`, logging: debug, more: []func(*caddyevents.App){listenTo("")}, want: all},
	} {
		for _, startedFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, events app first: %v", name, startedFirst), func(t *testing.T) {
				e := newListened(t, test.config, test.logging, test.more...)
				if startedFirst {
					_ = e.app.Start()
				}
				e.start()
				var wanted []string
				for kind, name := range eventNames {
					if e.wants(eventKind(kind)) {
						wanted = append(wanted, name)
					}
				}
				if got := strings.Join(wanted, " "); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		}
	}
}

// listened is a gate of a site with somebody who hears everything.
func (s *site) listened(t testing.TB, g Gate, subscribe ...func(*caddyevents.App)) *Gate {
	t.Helper()
	if len(subscribe) == 0 {
		subscribe = append(subscribe, listenTo(""))
	}
	s.service.events = newListened(t, `{}`, nil, subscribe...)
	s.service.events.start()
	gate := s.gate(t, g)
	gate.ctx = s.service.events.ctx
	return gate
}

// checkHeard checks which event comes next.
func checkHeard(t *testing.T, name string, data map[string]any) {
	t.Helper()
	select {
	case e := <-heard:
		if e.Name() != name || !maps.Equal(e.Data, data) {
			t.Errorf("got %s %v\nwant %s %v", e.Name(), e.Data, name, data)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("there is no %s", name)
	}
}

// decided is what an event says of a request of [get].
func decided(reason, evidence, action string) map[string]any {
	return map[string]any{
		"service": "default", "reason": reason, "evidence": evidence, "action": action,
		"method": "GET", "host": "app.example", "path": "/page", "client_ip": "192.0.2.1",
	}
}

// Events say what was decided about a request, and nothing that names a person or opens anything.
func TestDecisionEvents(t *testing.T) {
	s := newSite(t)
	g := s.listened(t, Gate{})
	token := "X-BWS-Token: " + s.goodToken()
	r := get(token)
	r.URL.RawQuery = "access_token=secret"
	send(t, r, g).checkAllowed(t)
	checkHeard(t, "bws.allowed", decided("", "service", "verification"))
	send(t, get(token), g).checkAllowed(t)
	checkHeard(t, "bws.allowed", decided("", "cache", "verification"))
	send(t, get("X-BWS-Token: "+s.token(bwstest.Outcome{})), g)
	checkHeard(t, "bws.denied", decided("not_recognized", "service", "verification"))
	send(t, get(), g)
	checkHeard(t, "bws.denied", decided("no_token", "", ""))

	// What is only reported is no denial, and what is sent to log in is one.
	g = s.listened(t, reporting(Gate{}))
	send(t, get(), g).checkAllowed(t)
	send(t, get(token), g).checkAllowed(t)
	checkHeard(t, "bws.allowed", decided("", "cache", "verification"))
	b := s.browser(t, s.listened(t, loginGate()))
	ui := b.visit("/page").sentTo(t)
	checkHeard(t, "bws.denied", decided("no_token", "", ""))
	s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
	b.visit(backFrom(ui, "")).checkSentOn(t, "/page")
	checkHeard(t, "bws.allowed", decided("", "service", "verification"))
}

// Who listens to one event gets no other.
func TestOnlyWantedEvents(t *testing.T) {
	s := newSite(t)
	g := s.listened(t, Gate{}, listenTo("bws.denied"))
	send(t, get("X-BWS-Token: "+s.goodToken()), g).checkAllowed(t)
	send(t, get(), g)
	checkHeard(t, "bws.denied", decided("no_token", "", ""))
	if len(g.events.queue) > 0 || len(heard) > 0 {
		t.Error("there are more events")
	}
}

// A service that goes down and comes back is told of once each, by each of the names it has.
func TestServiceEvents(t *testing.T) {
	e := newListened(t, `{}`, nil, listenTo("bws.service_down"), listenTo("bws.service_up"))
	e.start()
	var endpoint string
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		other := newService(t, inProcess{s.Service}, s.service.now)
		s.service.events, other.events = e, e
		endpoint = s.service.client.Endpoint()
		use(t, map[string]*Service{"a": s.service, "b": s.service, "other": other})
		g := s.gate(t, Gate{})
		s.Script("/result", slices.Repeat([]bwstest.Answer{{Status: http.StatusInternalServerError}}, 6)...)
		for range 7 {
			send(t, get("X-BWS-Token: "+s.goodToken()), g)
		}
		for range 2 {
			time.Sleep(10 * time.Second)
			send(t, get("X-BWS-Token: "+s.goodToken()), g)
		}
		if calls := s.Calls("/result"); calls != 7 {
			t.Errorf("BWS was asked %d times", calls)
		}
	})
	for _, name := range []string{"bws.service_down", "bws.service_up"} {
		for _, service := range []string{"a", "b"} {
			checkHeard(t, name, map[string]any{"service": service, "endpoint": endpoint})
		}
	}
	if len(e.queue) > 0 || len(heard) > 0 {
		t.Error("there are more events")
	}
}

// No request waits for a handler, whatever that does, and what cannot wait is counted.
func TestHandlersKeepNobody(t *testing.T) {
	s := newSite(t)
	handled, release := make(chan string, 2*maxWaitingEvents), make(chan struct{})
	first := true
	g := s.listened(t, Gate{}, func(app *caddyevents.App) {
		_ = app.On("bws.denied", handlerOf(func(e caddy.Event) {
			if first {
				first = false
				handled <- "first"
				<-release
				panic("no handler is that bad")
			}
			handled <- e.Name()
		}))
	})
	core, logs := observer.New(zap.InfoLevel)
	g.events.logger = zap.New(core)
	send(t, get(), g)
	<-handled
	const more = 10
	for range maxWaitingEvents + more {
		send(t, get(), g)
	}
	if lost := g.events.lost.Load(); lost != more {
		t.Errorf("%d events are lost, want %d", lost, more)
	}
	close(release)
	for range maxWaitingEvents {
		<-handled
	}
	send(t, get(), g)
	<-handled
	lines := logs.All()
	if len(lines) != 2 || lines[0].Level != zap.ErrorLevel || lines[1].ContextMap()["lost"] != uint64(more) {
		t.Errorf("the log has %+v", lines)
	}
}

// Nothing is left of a configuration that is not in use any more.
func TestEventsEnd(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	e := &events{ctx: ctx, queue: make(chan event)}
	cancel()
	e.run()
}

// Events come from the modules that Caddy knows, and are told as soon as the app has started.
func TestEventsThroughTheApp(t *testing.T) {
	service := bwstest.NewServer(t, bwstest.Config{})
	heard = make(chan caddy.Event, 100)
	ctx, err := caddy.ProvisionContext(&caddy.Config{AppsRaw: caddy.ModuleMap{
		"events": json.RawMessage(`{"subscriptions":[{"modules":["http.handlers.bws","bws"],"handlers":[{"handler":"bws_test"}]}]}`),
		"bws": json.RawMessage(fmt.Sprintf(
			`{"services":{"default":{"endpoint":%q,"app_id":%q,"app_secret":%q,"storage":{"module":"file_system","root":%q}}}}`,
			service.URL, bwstest.AppID, bwstest.AppSecret, t.TempDir())),
	}})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := ctx.App("bws")
	if err != nil {
		t.Fatal(err)
	}
	app := loaded.(*App)
	t.Cleanup(func() { _ = app.Cleanup() })
	module, err := ctx.LoadModuleByID("http.handlers.bws", nil)
	if err != nil {
		t.Fatal(err)
	}
	g := module.(*Gate)
	send(t, get(), g) // nothing has started yet
	for _, start := range []func() error{app.Start, app.events.app.Start} {
		if err := start(); err != nil {
			t.Fatal(err)
		}
	}
	send(t, get("X-BWS-Token: x"), g)
	checkHeard(t, "bws.denied", decided("malformed_token", "", ""))
	service.ScriptAlways("/result", bwstest.Answer{Status: http.StatusInternalServerError})
	for range 5 {
		token := service.Token(bwstest.TokenSpec{BCID: alice})
		send(t, get("X-BWS-Token: "+token), g)
	}
	for {
		if e := <-heard; e.Name() == "bws.service_down" {
			if e.Data["service"] != "default" || e.Data["endpoint"] != service.URL || e.Origin().CaddyModule().ID != "bws" {
				t.Errorf("got %v from %v", e.Data, e.Origin().CaddyModule().ID)
			}
			return
		}
	}
}
