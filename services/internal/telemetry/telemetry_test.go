package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const wantHeaders = "OTEL_EXPORTER_OTLP_HEADERS=…: must be name=value, several separated by commas, with %XX for special characters"

// Not parallel: the environment is the process's.
func TestNewTraces_FollowsTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		set map[string]string
		on  bool
		err string
	}{
		{nil, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, false, ""},
		{map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, false, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "OTEL_TRACES_EXPORTER=zipkin: must be otlp or none"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, false, "OTEL_EXPORTER_OTLP_ENDPOINT=…: must be http(s)://host:port"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, false, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json: must be grpc or http/protobuf"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x, tenant=1"}, true, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "authorization Bearer x"}, false, wantHeaders},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "a=1,b b=2"}, false, wantHeaders},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "password=100%"}, false, wantHeaders},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:pass word@collector"}, false, "OTEL_EXPORTER_OTLP_ENDPOINT=…: must be http(s)://host:port"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "ParentBased_TraceIDRatio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}, true, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1%"}, false, "OTEL_TRACES_SAMPLER_ARG=1%: must be 0 to 1"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.5"}, false, "OTEL_TRACES_SAMPLER_ARG=1.5: must be 0 to 1"},
		{map[string]string{"OTEL_TRACES_SAMPLER": "ratio"}, false, ""}, // without spans it does not matter
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "ratio"}, false, "OTEL_TRACES_SAMPLER=ratio: must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio"},
	} {
		t.Run("", func(t *testing.T) {
			for name, value := range c.set {
				t.Setenv(name, value)
			}
			traces, err := NewTraces(t.Context(), "test", slog.New(slog.DiscardHandler))
			switch {
			case c.err != "":
				if err == nil || err.Error() != c.err {
					t.Errorf("%v: %v", c.set, err)
				}
			case err != nil || traces.On() != c.on || (traces.Tracer("test") != nil) != c.on:
				t.Errorf("%v: on %t, %v", c.set, traces.On(), err)
			}
		})
	}
}

func TestTraces_LogAnUnavailableCollectorOnce(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	var log bytes.Buffer
	traces, err := NewTraces(t.Context(), "test", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 { // several batches
		_, span := traces.Tracer("test").Start(t.Context(), "call")
		span.End()
	}
	traces.Close(t.Context())
	if got := strings.Count(log.String(), "traces could not be sent"); got != 1 {
		t.Errorf("logged %d times: %s", got, log.String())
	}
}

// failing is an exporter that always fails.
type failing struct{}

func (failing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	return errors.New("refused")
}
func (failing) Shutdown(context.Context) error { return errors.New("never began") }

func TestRateLimitedExporter_LogsOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := newRateLimitedExporter(failing{}, slog.New(slog.NewTextHandler(&log, nil)))
		for range 130 { // at 0 s, 60 s and 120 s
			if err := e.ExportSpans(t.Context(), nil); err != nil {
				t.Errorf("the failure goes to OpenTelemetry's handler: %v", err)
			}
			time.Sleep(time.Second)
		}
		if got := strings.Count(log.String(), "error=refused"); got != 3 {
			t.Errorf("logged %d times", got)
		}
		if err := e.Shutdown(t.Context()); err == nil {
			t.Error("the exporter is not shut down")
		}
	})
}

func TestInject_IsReadByExtract(t *testing.T) {
	t.Parallel()
	var msg nats.Msg
	if Inject(t.Context(), &msg); msg.Header != nil {
		t.Errorf("no trace, and the header %v", msg.Header)
	}
	if Extract(&msg).IsValid() {
		t.Error("a trace from nowhere")
	}
	want := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	Inject(trace.ContextWithSpanContext(t.Context(), want), &msg)
	if got := Extract(&msg); got.TraceID() != want.TraceID() || got.SpanID() != want.SpanID() || !got.IsSampled() {
		t.Errorf("got %v", got)
	}
	msg.Header.Set("traceparent", "00-zz")
	if Extract(&msg).IsValid() {
		t.Error("a broken header is a trace")
	}
}

// Anybody can send a call with a long tracestate, which would be in each message of the
// stream and go to all gateways.
func TestInject_LeavesOutALongTraceState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ length, want int }{{500, 500}, {10_000, 0}} {
		var pairs []string
		for i := range c.length / 250 {
			pairs = append(pairs, fmt.Sprintf("k%02d=%s", i, strings.Repeat("v", 250-len("k00=,"))))
		}
		state, err := trace.ParseTraceState(strings.Join(pairs, ","))
		if len(pairs) > 32 || err != nil {
			state, err = trace.ParseTraceState(strings.Join(pairs[:32], ","))
		}
		if err != nil {
			t.Fatal(err)
		}
		origin := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceState: state})
		var msg nats.Msg
		Inject(trace.ContextWithSpanContext(t.Context(), origin), &msg)
		if got := len(msg.Header.Get("tracestate")); got > c.want || (got == 0) != (c.want == 0) {
			t.Errorf("of %d bytes, %d are passed on", c.length, got)
		}
		if got := Extract(&msg); got.TraceID() != origin.TraceID() {
			t.Errorf("got %v", got)
		}
	}
}

func TestLogHandler_AddsTheTrace(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(LogHandler(slog.NewJSONHandler(&out, nil))).With("part", "test")
	log.InfoContext(t.Context(), "outside")
	if strings.Contains(out.String(), "trace_id") {
		t.Error(out.String())
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	log.InfoContext(trace.ContextWithSpanContext(t.Context(), span), "inside")
	if want := `"part":"test","trace_id":"01000000000000000000000000000000","span_id":"0200000000000000"`; !strings.Contains(out.String(), want) {
		t.Errorf("%s is not in %s", want, out.String())
	}
}
