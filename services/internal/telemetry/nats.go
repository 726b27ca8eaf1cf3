package telemetry

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
)

// headers carry a trace in a NATS message. Names are written as they are, since
// NATS tells upper from lower case.
type headers nats.Header

func (h headers) Get(name string) string { return nats.Header(h).Get(name) }
func (h headers) Set(name, value string) { nats.Header(h).Set(name, value) }
func (h headers) Keys() []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	return names
}

// maxState is how much of a tracestate goes on, in bytes: what everybody should
// carry. https://www.w3.org/TR/trace-context/#tracestate-limits
const maxState = 512

// Inject writes the trace of ctx, where it has one, into a message's header. A
// tracestate comes from whoever called, and every message of a raffle would hold it:
// a long one stays behind.
func Inject(ctx context.Context, msg *nats.Msg) {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return
	}
	if len(span.TraceState().String()) > maxState {
		ctx = trace.ContextWithSpanContext(ctx, span.WithTraceState(trace.TraceState{}))
	}
	if msg.Header == nil {
		msg.Header = make(nats.Header)
	}
	Propagation.Inject(ctx, headers(msg.Header))
}

// Extract returns the trace that a message's header names; not a valid one where
// it names none.
func Extract(msg *nats.Msg) trace.SpanContext {
	if msg.Header.Get("traceparent") == "" {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(Propagation.Extract(context.Background(), headers(msg.Header)))
}
