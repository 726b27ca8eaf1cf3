package telemetry

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
)

// headers are the headers of a NATS message as a propagation.TextMapCarrier. Names are
// kept as they are, since they are case-sensitive in NATS.
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

// maxTraceState is the greatest length in bytes of a tracestate that is passed on. Every
// participant should propagate that much.
// https://www.w3.org/TR/trace-context/#tracestate-limits
const maxTraceState = 512

// Inject writes the trace of ctx, if it has one, into the message's header. A tracestate
// comes from the caller, and every message of a raffle would hold it, so a long one is
// left out.
func Inject(ctx context.Context, msg *nats.Msg) {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return
	}
	if len(span.TraceState().String()) > maxTraceState {
		ctx = trace.ContextWithSpanContext(ctx, span.WithTraceState(trace.TraceState{}))
	}
	if msg.Header == nil {
		msg.Header = make(nats.Header)
	}
	Propagation.Inject(ctx, headers(msg.Header))
}

// Extract returns the trace in a message's header. It is not valid if there is none.
func Extract(msg *nats.Msg) trace.SpanContext {
	if msg.Header.Get("traceparent") == "" {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(Propagation.Extract(context.Background(), headers(msg.Header)))
}
