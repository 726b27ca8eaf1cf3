package batch

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func TestWriter_TracesABatchInOneCallAndLinksTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewSpanRecorder()
		tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
		cfg := testConfig
		cfg.Tracer, cfg.Batch = tracer, 10
		w := New(&fakeStore{}, cfg)
		var callers []trace.Span
		for i := range 3 {
			ctx, span := tracer.Start(t.Context(), "call")
			callers = append(callers, span)
			for range 2 { // as a stream's calls share a span
				w.Submit(ctx, entry(fmt.Sprint(i)))
			}
		}
		w.Submit(t.Context(), entry("9")) // not traced
		ctx, stop := context.WithCancel(t.Context())
		stop()
		w.Run(ctx) // writes what is queued
		for _, span := range callers {
			span.End()
		}

		ended := spans.Ended()
		if len(ended) != 4 {
			t.Fatalf("%d spans", len(ended))
		}
		batch := ended[0]
		if batch.Name() != "write entries" || batch.Parent().SpanID() != callers[0].SpanContext().SpanID() || len(batch.Links()) != 2 {
			t.Errorf("%s under %v with %d links", batch.Name(), batch.Parent().SpanID(), len(batch.Links()))
		}
		for i, link := range batch.Links() {
			other := ended[2+i]
			if link.SpanContext.SpanID() != other.SpanContext().SpanID() {
				t.Errorf("link %d leads to %v", i, link.SpanContext.SpanID())
			}
			if back := other.Links(); len(back) != 1 || back[0].SpanContext.SpanID() != batch.SpanContext().SpanID() {
				t.Errorf("call %d is linked with %v", i+1, back)
			}
		}
		if n := len(ended[1].Links()); n != 0 {
			t.Errorf("the parent has %d links", n)
		}
	})
}
