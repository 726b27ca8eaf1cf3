// Package telemetry sends a service's traces to a collector if OpenTelemetry's standard
// environment variables say so, carries traces in NATS messages, and adds trace ids to
// log records.
//
// contrib/exporters/autoexport reads the same variables, but it brings the metric and
// log SDKs with all their exporters into each binary, and it quotes an endpoint that it
// cannot read, with its password.
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

// Traces creates a service's spans and sends them. The zero value and nil create none.
// It is safe for concurrent use.
type Traces struct {
	provider *sdktrace.TracerProvider
}

// Propagation is how a trace is passed from one process to the next: W3C Trace Context.
var Propagation = propagation.TraceContext{}

// shutdownTimeout bounds the time in which Close sends the last spans.
const shutdownTimeout = 3 * time.Second

// NewTraces returns the traces of a service. They are sent by OTLP if
// OTEL_TRACES_EXPORTER is otlp, or if it is not set and OTEL_EXPORTER_OTLP_ENDPOINT (or
// its TRACES_ variant) is. All other variables of OpenTelemetry's SDK and OTLP exporter
// apply: the protocol, headers, certificates, sampler, resource and service name.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
//
// It fails if one of the variables that decide whether, where and what to send has an
// invalid value. An unavailable collector is no error: spans are dropped, and log says
// so.
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
		sdktrace.WithBatcher(newRateLimitedExporter(exporter, log)),
		sdktrace.WithResource(about),
	)}, nil
}

// On reports whether spans are sent. If not, nothing should be spent on them.
func (t *Traces) On() bool { return t != nil && t.provider != nil }

// Provider returns the provider of tracers, for libraries that instrument themselves. It
// is never nil.
func (t *Traces) Provider() trace.TracerProvider {
	if !t.On() {
		return noop.NewTracerProvider()
	}
	return t.provider
}

// Tracer returns the tracer of the package with this name, or nil if spans are not sent.
func (t *Traces) Tracer(name string) trace.Tracer {
	if !t.On() {
		return nil
	}
	return t.provider.Tracer(name)
}

// Close sends the spans that are left, for at most 3 s, also if ctx has ended.
func (t *Traces) Close(ctx context.Context) {
	if !t.On() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the exporter has logged what failed
}
