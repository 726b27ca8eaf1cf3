package grpcapi

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// calls measures calls by OpenTelemetry's conventions, in Prometheus's spelling:
// https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/#metric-rpcservercallduration
//
// otelgrpc's own metrics would take two fifths of the CPU time that gRPC itself takes
// for a call (BenchmarkMetrics).
type calls struct {
	durations *prometheus.HistogramVec
	observers sync.Map // from call to prometheus.Observer
}

// call is what an observer counts: the calls of one method with one outcome.
type call struct {
	method string
	code   codes.Code
}

func newCalls(registry prometheus.Registerer) *calls {
	c := &calls{durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:        "rpc_server_call_duration_seconds",
		Help:        "Duration of gRPC calls; of EnterStream, of the whole stream.",
		ConstLabels: prometheus.Labels{"rpc_system_name": "grpc"},
		// The buckets that the conventions recommend.
		Buckets: []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10},
	}, []string{"rpc_method", "rpc_response_status_code"})}
	registry.MustRegister(c.durations)
	return c
}

// observe records a call that began at start and ends now. gRPC calls interceptors
// only for methods that the server has, so there are few series.
func (c *calls) observe(fullMethod string, start time.Time, err error) {
	key := call{fullMethod, status.Code(err)}
	observer, ok := c.observers.Load(key)
	if !ok {
		observer, _ = c.observers.LoadOrStore(key, c.durations.WithLabelValues(fullMethod[1:], code.Code(key.code).String()))
	}
	observer.(prometheus.Observer).Observe(time.Since(start).Seconds()) //nolint:forcetypeassert // nothing else is stored
}

func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	start := time.Now()
	resp, err := next(ctx, req)
	c.observe(info.FullMethod, start, err)
	return resp, err
}

func (c *calls) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	start := time.Now()
	err := next(srv, stream)
	c.observe(info.FullMethod, start, err)
	return err
}
