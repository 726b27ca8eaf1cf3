package batch

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// trace starts a span for a batch if any of its calls is traced, and returns the
// function that ends the span. A span that is not ended is never recorded. A span has
// one parent, so the batch belongs to the trace of its first traced call. It is linked
// with the other traced calls in both directions.
// https://opentelemetry.io/docs/concepts/signals/traces/#span-links
func (w *Writer) trace(ctx context.Context, calls []call) (context.Context, func(error)) {
	callers := w.callerSpans(calls)
	if len(callers) == 0 {
		return ctx, func(error) {}
	}
	options := []trace.SpanStartOption{trace.WithAttributes(attribute.Int("rafflecast.batch.entries", len(calls)))}
	for _, other := range callers[1:] {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: other.SpanContext()}))
	}
	ctx, span := w.cfg.Tracer.Start(trace.ContextWithSpan(ctx, callers[0]), "write entries", options...)
	return ctx, func(err error) {
		for _, other := range callers[1:] {
			other.AddLink(trace.Link{SpanContext: span.SpanContext()})
		}
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// maxLinks bounds how many calls a batch is linked with. It is the SDK's own
// default.
const maxLinks = 128

// callerSpans returns the spans of the traced calls, each once, because the calls
// of a stream share one.
func (w *Writer) callerSpans(calls []call) []trace.Span {
	if w.cfg.Tracer == nil {
		return nil
	}
	var spans []trace.Span
	seen := make(map[trace.SpanID]bool)
	for i := range calls {
		span := trace.SpanFromContext(calls[i].ctx)
		id := span.SpanContext().SpanID()
		if span.IsRecording() && !seen[id] && len(spans) <= maxLinks {
			seen[id] = true
			spans = append(spans, span)
		}
	}
	return spans
}
