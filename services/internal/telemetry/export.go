package telemetry

import (
	"context"
	"log/slog"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"
)

// logInterval is the least time between two log lines about failed exports: while the
// collector is unavailable, every batch fails.
const logInterval = time.Minute

// rateLimitedExporter logs export failures at most once in logInterval. It keeps them
// from OpenTelemetry's global error handler.
type rateLimitedExporter struct {
	next      sdktrace.SpanExporter
	log       *slog.Logger
	sometimes rate.Sometimes
}

func newRateLimitedExporter(next sdktrace.SpanExporter, log *slog.Logger) *rateLimitedExporter {
	return &rateLimitedExporter{next: next, log: log, sometimes: rate.Sometimes{First: 1, Interval: logInterval}}
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *rateLimitedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.next.ExportSpans(ctx, spans); err != nil {
		e.sometimes.Do(func() {
			e.log.Warn("traces could not be sent and are dropped", "spans", len(spans), "error", err)
		})
	}
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (e *rateLimitedExporter) Shutdown(ctx context.Context) error { return e.next.Shutdown(ctx) }
