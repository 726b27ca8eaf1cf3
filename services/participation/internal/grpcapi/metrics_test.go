package grpcapi

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// BenchmarkMetrics is the price of measuring a call, in CPU time of client and
// server together: none, ours, and otelgrpc's.
func BenchmarkMetrics(b *testing.B) {
	ours := newCalls(prometheus.NewRegistry())
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	for _, c := range []struct {
		name   string
		option grpc.ServerOption
	}{
		{"none", grpc.EmptyServerOption{}},
		{"ours", grpc.UnaryInterceptor(ours.unary)},
		{"otelgrpc", grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(noop.NewTracerProvider()), otelgrpc.WithMeterProvider(meters)))},
	} {
		b.Run(c.name, func(b *testing.B) {
			client := healthClient(b, c.option)
			before := cpuTime(b)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := client.Check(context.Background(), &healthv1.HealthCheckRequest{}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

func healthClient(b *testing.B, option grpc.ServerOption) healthv1.HealthClient {
	b.Helper()
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer(option)
	healthv1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return healthv1.NewHealthClient(conn)
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
