package caddybws

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
)

// eventKind is one of the events.
type eventKind int

const (
	eventAllowed eventKind = iota
	eventDenied
	eventServiceDown
	eventServiceUp
)

// eventNames are the events as Caddy's events app knows them.
var eventNames = [...]string{"bws.allowed", "bws.denied", "bws.service_down", "bws.service_up"}

const (
	// maxWaitingEvents bounds the events that wait for handlers.
	maxWaitingEvents = 1024
	// lostEventsInterval is how often it is logged that there were more.
	lostEventsInterval = time.Minute
)

// events are told to whoever has subscribed to them. Handlers run one after the other beside the requests, which wait for none.
type events struct {
	app    *caddyevents.App
	ctx    caddy.Context
	logger *zap.Logger
	queue  chan event
	lost   atomic.Uint64
	// wanted says which somebody has subscribed to.
	wanted [len(eventNames)]atomic.Bool
}

// event is one that waits for its handlers.
type event struct {
	// ctx is that of the module that it comes from.
	ctx  caddy.Context
	kind eventKind
	data map[string]any
}

func newEvents(ctx caddy.Context) (*events, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, fmt.Errorf("loading the events app: %w", err)
	}
	return &events{app: app.(*caddyevents.App), ctx: ctx, logger: ctx.Logger(), queue: make(chan event, maxWaitingEvents)}, nil
}

// start looks who has subscribed, which is settled by now, and begins to call handlers if anybody has.
func (e *events) start() {
	listened := false
	for kind, name := range eventNames {
		if isSubscribed(e.app, name) {
			e.wanted[kind].Store(true)
			listened = true
		}
	}
	if listened {
		go e.run()
	}
}

// isSubscribed reports whether anybody has subscribed to an event. Caddy's ShouldEmit says yes for the debug log alone, too, which
// would then have a second line for each request. So that what other modules have subscribed to is looked up where it is kept.
func isSubscribed(app *caddyevents.App, name string) bool {
	for _, s := range app.Subscriptions {
		if len(s.Events) == 0 || slices.Contains(s.Events, name) || slices.Contains(s.Events, "") {
			return true
		}
	}
	kept := reflect.ValueOf(app).Elem().FieldByName("subscriptions")
	if !kept.IsValid() || kept.Type() != reflect.TypeFor[map[string]map[caddy.ModuleID][]caddyevents.Handler]() {
		return app.ShouldEmit(name)
	}
	return kept.MapIndex(reflect.ValueOf(name)).IsValid() || kept.MapIndex(reflect.ValueOf("")).IsValid()
}

// run calls handlers as long as the configuration is in use.
func (e *events) run() {
	var complained time.Time
	for {
		select {
		case next := <-e.queue:
			e.handle(next)
		case <-e.ctx.Done():
			return
		}
		if time.Since(complained) >= lostEventsInterval {
			if lost := e.lost.Swap(0); lost > 0 {
				complained = time.Now()
				e.logger.Warn("events are lost: their handlers are slower than they come", zap.Uint64("lost", lost))
			}
		}
	}
}

// handle calls the handlers of an event. One that panics must not end the process, as it would not on the way of a request.
func (e *events) handle(next event) {
	defer func() {
		if recover() != nil {
			e.logger.Error("a handler of events panicked", zap.String("event", eventNames[next.kind]),
				zap.ByteString("stack", debug.Stack()))
		}
	}()
	e.app.Emit(next.ctx, eventNames[next.kind], next.data)
}

// wants reports whether anybody listens.
func (e *events) wants(kind eventKind) bool { return e != nil && e.wanted[kind].Load() }

// tell has handlers called soon, or never if too many events wait already.
func (e *events) tell(next event) {
	select {
	case e.queue <- next:
	default:
		e.lost.Add(1)
	}
}

// emit tells a decision. It names nobody. What a gate only reports is no denial.
func (g *Gate) emit(q *inquiry) {
	v, kind := q.visit, eventDenied
	if v.decision.Allow {
		kind = eventAllowed
	}
	if !g.events.wants(kind) || kind == eventDenied && g.ReportOnly {
		return
	}
	action := ""
	if v.evidence != nil {
		action = string(v.evidence.Action)
	}
	g.events.tell(event{g.ctx, kind, map[string]any{
		"service": g.serviceName(), "reason": string(v.decision.Reason), "evidence": v.source(), "action": action,
		"method": q.Method, "host": q.Host, "path": q.URL.Path, "client_ip": clientIP(q.Request),
	}})
}

// emit tells whether a service is there.
func (s *namedService) emit(kind eventKind) {
	if s.events.wants(kind) {
		s.events.tell(event{s.events.ctx, kind, map[string]any{"service": s.name, "endpoint": s.client.Endpoint()}})
	}
}
