package gateway

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// deliveries makes the last span of an entry's trace: from the message that
// brought its odds to the last connection that they were written to.
type deliveries struct {
	tracer trace.Tracer // nil: none
}

// arrived makes the span, now that all about it is known.
func (d deliveries) arrived(u *odds.Update) {
	if d.tracer == nil || !u.Trip.Origin.IsSampled() {
		return
	}
	written, complete := u.Trip.Written()
	_, span := d.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), u.Trip.Origin), "process "+oddsstream.AllLive,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(u.Trip.Heard),
		trace.WithAttributes(
			semconv.MessagingSystemKey.String("nats"),
			semconv.MessagingOperationTypeProcess,
			semconv.MessagingOperationName("fan out"),
			semconv.MessagingDestinationTemplate(oddsstream.AllLive),
			attribute.Int64("rafflecast.raffle.id", u.RaffleID),
			attribute.Int64("rafflecast.raffle.version", u.Version),
			attribute.Int("rafflecast.connections", written),
			attribute.Bool("rafflecast.superseded", !complete),
		))
	span.End(trace.WithTimestamp(time.Now()))
}
