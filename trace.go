package caddybws

import (
	"cmp"
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// tracerName says in a trace where spans come from.
const tracerName = "github.com/caddy-bws/caddy-bws"

// startSpan begins a span below the one that the context has, and returns nil if there is none that is recorded.
func startSpan(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, nil
	}
	return parent.TracerProvider().Tracer(tracerName).Start(ctx, name, options...)
}

// Context is the request's, and while evidence is judged that of its span, so that calls to BWS are seen below it.
func (q *inquiry) Context() context.Context {
	if q.traced != nil {
		return q.traced
	}
	return q.Request.Context()
}

// beginVerification begins the span of a request's verification, nil if the request is not traced.
func (q *inquiry) beginVerification() trace.Span {
	ctx, span := startSpan(q.Request.Context(), "bws.verify")
	if span != nil {
		q.traced = ctx
	}
	return span
}

// endVerification ends the span with what was concluded.
func (q *inquiry) endVerification(span trace.Span) {
	if span == nil {
		return
	}
	q.traced = nil
	span.SetAttributes(attribute.String("bws.decision", q.visit.word()),
		attribute.String("bws.reason", string(q.visit.decision.Reason)),
		attribute.String("bws.evidence", cmp.Or(q.visit.source(), "none")))
	span.End()
}

// beginCall begins the span of a try to call BWS. It has neither a URL, which holds a token, nor what BWS says of a person.
func beginCall(ctx context.Context, api verifier.API) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx // before options are allocated
	}
	ctx, _ = startSpan(ctx, "bws.call", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("bws.api", string(api))))
	return ctx
}

// endCall ends the span that beginCall has begun.
func endCall(ctx context.Context, outcome evidence.Outcome) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("bws.outcome", outcomeNames[outcome]))
	switch outcome {
	case evidence.Answered, evidence.Pending, evidence.Rejected:
	default:
		span.SetStatus(codes.Error, outcomeNames[outcome])
	}
	span.End()
}
