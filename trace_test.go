package caddybws

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// traces are what requests leave behind whose spans are recorded.
type traces struct {
	*tracetest.InMemoryExporter
	tracer trace.Tracer
}

func newTraces(sampler sdktrace.Sampler) *traces {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithSampler(sampler))
	return &traces{exporter, provider.Tracer("test")}
}

// ServeHTTP is what Caddy's tracing handler does.
func (tr *traces) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	ctx, span := tr.tracer.Start(r.Context(), "request")
	defer span.End()
	return next.ServeHTTP(w, r.WithContext(ctx))
}

// take returns the spans that have ended since it was called last, each with what it is below, how it ended, and its attributes.
func (tr *traces) take() (lines []string) {
	spans := tr.GetSpans()
	tr.Reset()
	names := make(map[trace.SpanID]string)
	for _, span := range spans {
		names[span.SpanContext.SpanID()] = span.Name
	}
	for _, span := range spans {
		line := names[span.Parent.SpanID()] + " > " + span.Name
		if span.Status.Code == codes.Error {
			line += " failed"
		}
		for _, a := range span.Attributes {
			line += fmt.Sprintf(" %s=%s", strings.TrimPrefix(string(a.Key), "bws."), a.Value.AsString())
		}
		if span.Name != "request" {
			lines = append(lines, line)
		}
	}
	return lines
}

// check checks which spans have ended.
func (tr *traces) check(t *testing.T, want ...string) {
	t.Helper()
	if got := tr.take(); !slices.Equal(got, want) {
		t.Errorf("the spans are %q\nwant %q", got, want)
	}
}

func TestTraces(t *testing.T) {
	const call = "bws.verify > bws.call api=result outcome="
	const failedCall = "bws.verify > bws.call failed api=result outcome="
	verified := func(decision, reason, evidence string) string {
		return "request > bws.verify decision=" + decision + " reason=" + reason + " evidence=" + evidence
	}
	tr := newTraces(sdktrace.AlwaysSample())
	for name, test := range map[string]struct {
		gate  Gate
		token func(*site) string
		want  []string
	}{
		"allowed":   {Gate{}, (*site).goodToken, []string{call + "answered", verified("allow", "", "service")}},
		"denied":    {Gate{Require: "challenge"}, (*site).goodToken, []string{call + "answered", verified("deny", "no_challenge", "service")}},
		"reported":  {reporting(Gate{Require: "challenge"}), (*site).goodToken, []string{call + "answered", verified("deny", "no_challenge", "service")}},
		"no token":  {Gate{}, tokenText(""), []string{verified("deny", "no_token", "none")}},
		"malformed": {Gate{}, tokenText("x"), []string{verified("deny", "malformed_token", "none")}},
		"pending": {Gate{}, func(s *site) string { return s.Token(bwstest.TokenSpec{BCID: alice}) }, []string{
			call + "pending", verified("deny", "pending", "service"),
		}},
		"rejected": {Gate{}, tokenForeign(bwstest.AppID), []string{call + "rejected", verified("deny", "rejected_token", "service")}},
		"tried twice": {Gate{}, tokenAnswered(bwstest.Answer{Status: http.StatusServiceUnavailable}), []string{
			failedCall + "unavailable", call + "answered", verified("allow", "", "service"),
		}},
		"misconfigured": {Gate{}, tokenAnswered(bwstest.Answer{Status: http.StatusUnauthorized}), []string{
			failedCall + "misconfigured", verified("deny", "service_misconfigured", "service"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			send(t, get("X-BWS-Token: "+test.token(s)), tr, s.gate(t, test.gate))
			tr.check(t, test.want...)
		})
	}

	s := newSite(t)
	g := s.gate(t, keeping)
	session := s.begin(t, g)
	send(t, get(session), tr, g).checkAllowed(t)
	tr.check(t, verified("allow", "", "session"))
	token := s.goodToken()
	send(t, get("X-BWS-Token: "+token), g).checkAllowed(t)
	send(t, get("X-BWS-Token: "+token), tr, g).checkAllowed(t)
	tr.check(t, verified("allow", "", "cache"))
	send(t, get("X-BWS-Token: "+token), tr, g, g).checkAllowed(t)
	tr.check(t, verified("allow", "", "cache"), verified("allow", "", "cache"))
}

// The token request of a login is below the request, as it follows the verification.
func TestTracesOfLogins(t *testing.T) {
	s, tr := newSite(t), newTraces(sdktrace.AlwaysSample())
	b := s.browser(t, tr, s.gate(t, loginGate()))
	ui := b.visit("/page").sentTo(t)
	tr.check(t, "request > bws.verify decision=deny reason=no_token evidence=none", "request > bws.call api=token outcome=answered")
	s.Perform(ui.Get("access_token"), bwstest.Outcome{Success: true})
	b.visit(backFrom(ui, "")).checkSentOn(t, "/page")
	tr.check(t, "bws.verify > bws.call api=result outcome=answered", "request > bws.verify decision=allow reason= evidence=service")
}

// A call that requests share is seen in the trace of the one that has begun it. It is seen there also if that one has left.
func TestTracesOfWhoLeft(t *testing.T) {
	s, tr := newSite(t), newTraces(sdktrace.AlwaysSample())
	asked, answer := make(chan struct{}), make(chan struct{})
	s.service = newService(t, wire(func(r *http.Request) (*http.Response, error) {
		close(asked)
		<-answer
		return inProcess{s.Service}.RoundTrip(r)
	}), s.service.now)
	g, token, left := s.gate(t, Gate{}), "X-BWS-Token: "+s.goodToken(), make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		defer close(left)
		send(t, get(token).WithContext(ctx), tr, g)
	}()
	<-asked
	leave()
	<-left
	tr.check(t, "request > bws.verify decision=deny reason=service_unavailable evidence=service")
	close(answer)
	send(t, get(token), g).checkAllowed(t) // it joins, or finds the result
	for len(tr.GetSpans()) == 0 {
		time.Sleep(time.Millisecond)
	}
	tr.check(t, " > bws.call api=result outcome=answered")
}

// Nobody pays for a trace that is not recorded, and nothing is recorded that Caddy did not choose to.
func TestNoTraces(t *testing.T) {
	s, tr := newSite(t), newTraces(sdktrace.NeverSample())
	g := s.gate(t, Gate{})
	send(t, get("X-BWS-Token: "+s.goodToken()), tr, g).checkAllowed(t)
	send(t, get("X-BWS-Token: "+s.goodToken()), g).checkAllowed(t)
	tr.check(t)
	q := &inquiry{Request: get(), visit: new(visit)}
	if n := testing.AllocsPerRun(100, func() { q.endVerification(q.beginVerification()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Traces hold no token, no query and no person.
func TestTracesAreDiscreet(t *testing.T) {
	s, tr := newSite(t), newTraces(sdktrace.AlwaysSample())
	token := s.goodToken()
	send(t, get("X-BWS-Token: "+token), tr, s.gate(t, keeping)).checkAllowed(t)
	text := fmt.Sprintf("%+v", tr.GetSpans())
	for _, secret := range []string{token, bwstest.AppSecret, alice.String(), "access_token", "http"} {
		if strings.Contains(text, secret) {
			t.Errorf("the trace shows %s: %s", secret, text)
		}
	}
}
