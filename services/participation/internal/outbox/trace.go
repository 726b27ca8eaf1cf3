package outbox

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
)

// send is publish within a span, if the change that made the version is traced. The
// message carries the trace on to the gateways.
// https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
func (r *relay) send(ctx context.Context, m *message, after uint64) (Message, error) {
	if !m.origin.IsSampled() {
		return r.publish(ctx, m, after)
	}
	ctx, span := r.cfg.Tracer.Start(trace.ContextWithSpanContext(ctx, m.origin), "send "+r.cfg.Names.AllStored(),
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			semconv.MessagingSystemKey.String("nats"),
			semconv.MessagingOperationTypeSend,
			semconv.MessagingOperationName("publish"),
			semconv.MessagingDestinationName(r.cfg.Names.Subject(m.raffle.ID)),
			semconv.MessagingDestinationTemplate(r.cfg.Names.AllStored()),
		))
	defer span.End()
	last, err := r.publish(ctx, m, after)
	switch {
	case errors.Is(err, errTooSoon):
		span.AddEvent("another process has just published: waiting for the conflation interval")
	case err != nil:
		span.SetStatus(codes.Error, err.Error())
	}
	return last, err
}
