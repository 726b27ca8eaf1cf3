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

// deliverySpans makes the last span of an entry's trace. It begins when its odds come
// from NATS, and ends when they have been written to the last of their subscribers that
// was not blocked. Odds that were conflated away for any subscriber have no span.
type deliverySpans struct {
	tracer trace.Tracer // nil: none
	names  oddsstream.Names
}

// delivered makes the span of an update that has just been delivered.
func (s deliverySpans) delivered(u *odds.Update) {
	d := u.Delivery
	if s.tracer == nil || !d.Origin.IsSampled() {
		return
	}
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), d.Origin)
	_, span := s.tracer.Start(ctx, "process "+s.names.AllLive(),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(d.Received),
		trace.WithAttributes(
			semconv.MessagingSystemKey.String("nats"),
			semconv.MessagingOperationTypeProcess,
			semconv.MessagingOperationName("fan out"),
			semconv.MessagingDestinationTemplate(s.names.AllLive()),
			attribute.Int64("rafflecast.raffle.id", u.RaffleID),
			attribute.Int64("rafflecast.raffle.version", u.Version),
			attribute.Int("rafflecast.connections", d.Connections()),
		))
	span.End(trace.WithTimestamp(time.Now()))
}
