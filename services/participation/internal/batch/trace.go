package batch

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// trace begins a span for a batch with calls that are traced, and returns what
// ends it. A span has one parent: the batch belongs to the trace of its first
// such call, and is linked with the others, in both directions.
// https://opentelemetry.io/docs/concepts/signals/traces/#span-links
func (w *Writer) trace(ctx context.Context, calls []call) (context.Context, func(error)) {
	callers := w.callers(calls)
	if len(callers) == 0 {
		return ctx, func(error) {}
	}
	options := []trace.SpanStartOption{trace.WithAttributes(attribute.Int("rafflecast.batch.entries", len(calls)))}
	for _, other := range callers[1:] {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: other.SpanContext()}))
	}
	ctx, span := w.cfg.Tracer.Start(trace.ContextWithSpan(ctx, callers[0]), "write entries", options...)
	for _, other := range callers[1:] {
		other.AddLink(trace.Link{SpanContext: span.SpanContext()})
	}
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// maxLinks is how many calls a batch is linked with; the SDK's own default is
// the same.
const maxLinks = 128

// callers returns the spans of traced calls, each once: the calls of a stream
// share one.
func (w *Writer) callers(calls []call) []trace.Span {
	if w.cfg.Tracer == nil {
		return nil
	}
	var callers []trace.Span
	seen := make(map[trace.SpanID]bool)
	for i := range calls {
		span := trace.SpanFromContext(calls[i].ctx)
		id := span.SpanContext().SpanID()
		if span.IsRecording() && !seen[id] && len(callers) <= maxLinks {
			seen[id] = true
			callers = append(callers, span)
		}
	}
	return callers
}
