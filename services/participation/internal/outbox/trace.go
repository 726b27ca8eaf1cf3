package outbox

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// fill sets what is not set.
func (c *Config) fill() {
	if c.Stored == nil {
		c.Stored = func(raffle.Odds) {}
	}
	if c.Failed == nil {
		c.Failed = func() {}
	}
	if c.Raised == nil {
		c.Raised = func() {}
	}
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// send puts odds into the stream, within a span where their entry has one. The
// message carries it on to the gateways.
// https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
func (p *Publisher) send(ctx context.Context, tail uint64, o *odds) (uint64, int64, error) {
	if !o.origin.IsSampled() {
		return p.put(ctx, tail, &o.Odds)
	}
	ctx, span := p.cfg.Tracer.Start(trace.ContextWithSpanContext(ctx, o.origin), "send "+oddsstream.AllStored,
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			semconv.MessagingSystemKey.String("nats"),
			semconv.MessagingOperationTypeSend,
			semconv.MessagingOperationName("publish"),
			semconv.MessagingDestinationName(oddsstream.Subject(o.ID)),
			semconv.MessagingDestinationTemplate(oddsstream.AllStored),
		))
	defer span.End()
	tail, version, err := p.put(ctx, tail, &o.Odds)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return tail, version, err
}
