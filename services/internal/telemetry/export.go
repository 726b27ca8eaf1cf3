package telemetry

import (
	"context"
	"log/slog"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// told is an exporter whose failures go to our log, and not to OpenTelemetry's
// global handler. Its methods are called one at a time, by the batcher.
type told struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	last time.Time // when a failure was last told
}

// tellInterval is the least time between two failures that are told: a collector
// that is away fails every batch.
const tellInterval = time.Minute

// ExportSpans implements sdktrace.SpanExporter.
func (t *told) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	if err != nil && time.Since(t.last) >= tellInterval {
		t.last = time.Now()
		t.log.Warn("traces can't be sent, and are dropped", "spans", len(spans), "error", err)
	}
	return nil
}
