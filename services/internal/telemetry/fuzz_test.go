package telemetry

import (
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
)

// FuzzExtract reads the header of a message that anybody may have sent: what is passed
// on of it is bounded, and is read again the same.
func FuzzExtract(f *testing.F) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	f.Add(parent, "a=1,b=2", "x=y")
	f.Add("ff-"+parent[3:], "", "%")
	f.Add("00-0-0-0", "=,=", "")
	f.Fuzz(func(t *testing.T, traceparent, tracestate, baggage string) {
		msg := &nats.Msg{Header: nats.Header{"traceparent": {traceparent}, "tracestate": {tracestate}, "baggage": {baggage}}}
		span := Extract(msg)
		if !span.IsValid() {
			return
		}
		var again nats.Msg
		Inject(trace.ContextWithRemoteSpanContext(t.Context(), span), &again)
		got := Extract(&again)
		if got.TraceID() != span.TraceID() || got.SpanID() != span.SpanID() || len(again.Header.Get("tracestate")) > maxTraceState {
			t.Errorf("%q %q: passed on as %v", traceparent, tracestate, again.Header)
		}
	})
}
