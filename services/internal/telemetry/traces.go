// Package telemetry lets a service's traces be seen, where OpenTelemetry's
// standard environment variables ask for it, and puts trace ids into its log.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Traces are where a service's spans go. The zero value, and nil, send none anywhere.
type Traces struct {
	provider *sdktrace.TracerProvider
}

// Propagation is how a trace is named between the parts: W3C Trace Context.
var Propagation = propagation.TraceContext{}

// shutdownTimeout bounds the sending of the last spans at stop.
const shutdownTimeout = 3 * time.Second

// NewTraces returns the traces of a service: sent by OTLP where the environment
// says so, else nowhere.
//
// They are on with OTEL_TRACES_EXPORTER=otlp, or where that is not set, with
// OTEL_EXPORTER_OTLP_ENDPOINT (or its TRACES_ variant). All other variables of
// OpenTelemetry's SDK and OTLP exporter apply: the protocol, headers, certificates,
// sampler, resource, service name.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
//
// It fails where those that decide whether and where to send can't be meant. A
// collector that is away is no error: spans are dropped, and log is told.
func NewTraces(ctx context.Context, service string, log *slog.Logger) (*Traces, error) {
	env, err := readEnvironment()
	if err != nil || !env.on {
		return &Traces{}, err
	}
	client := otlptracehttp.NewClient()
	if env.protocol == "grpc" {
		client = otlptracegrpc.NewClient()
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("open the exporter of traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName(service), semconv.ServiceNamespace("rafflecast")),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv()) // the last wins
	if err != nil && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	log.Info("traces are sent", "protocol", env.protocol)
	return &Traces{sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&told{SpanExporter: exporter, log: log}),
		sdktrace.WithResource(about),
	)}, nil
}

// On tells whether spans go anywhere. Where not, nothing should be spent on them.
func (t *Traces) On() bool { return t != nil && t.provider != nil }

// Provider returns what makes tracers, for libraries that bring their own.
func (t *Traces) Provider() trace.TracerProvider {
	if !t.On() {
		return noop.NewTracerProvider()
	}
	return t.provider
}

// Tracer returns what makes the spans of a package, by the package's name; nil
// where spans go nowhere.
func (t *Traces) Tracer(name string) trace.Tracer {
	if !t.On() {
		return nil
	}
	return t.provider.Tracer(name)
}

// Close sends what is left, for at most 3 s.
func (t *Traces) Close(ctx context.Context) {
	if !t.On() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what failed was told
}
