// Package grpcapi is the edge of the service: gRPC, and a JSON facade of it. It
// decodes, calls, encodes, and turns errors into statuses.
package grpcapi

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"buf.build/go/protovalidate"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// maxRequest bounds a request in bytes; the largest valid one has under 2 KiB.
const maxRequest = 16 << 10

// handshakeTimeout bounds the beginning of a connection.
const handshakeTimeout = 2 * time.Second

// Store keeps raffles and entries.
type Store interface {
	Raffles
	Ledger
}

// Config is how the edge treats its callers.
type Config struct {
	Health *health.Server
	// When Stopping is closed, streams answer what is under way and end.
	Stopping <-chan struct{}
	// MaxConnectionAge is how long a connection takes new calls, and a stream of
	// entries new requests, give or take 10 %: clients then spread anew over all
	// instances. 0: for ever.
	MaxConnectionAge time.Duration
	Registry         prometheus.Registerer // takes the metrics of calls
	Traces           *telemetry.Traces
	Log              *slog.Logger
}

// NewServer returns a gRPC server with both services, health and reflection.
func NewServer(store Store, entries Entries, cfg Config) (*grpc.Server, error) {
	validator, err := newValidator()
	if err != nil {
		return nil, err
	}
	edge := &edge{reads: make(chan struct{}, maxReads), validator: validator, stopping: cfg.Stopping, age: cfg.MaxConnectionAge, log: cfg.Log}
	calls := newCalls(cfg.Registry)
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxRequest),
		// A stop waits for handshakes: one that never comes must not hold it up.
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.ChainUnaryInterceptor(calls.unary, edge.unary),
		grpc.ChainStreamInterceptor(calls.stream, edge.stream),
		// Clients may ping idle connections as often as common proxies need it.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second, MaxConnectionAge: cfg.MaxConnectionAge}),
	}
	if cfg.Traces.On() {
		options = append(options, grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(cfg.Traces.Provider()), otelgrpc.WithPropagators(telemetry.Propagation),
			otelgrpc.WithMeterProvider(noop.NewMeterProvider()), // see calls
			otelgrpc.WithFilter(filters.Not(filters.HealthCheck())))))
	}
	server := grpc.NewServer(options...)
	rafflev1.RegisterRaffleServiceServer(server, &raffleService{raffles: store})
	rafflev1.RegisterParticipationServiceServer(server, &participationService{entries: entries, raffles: store, ledger: store, edge: edge})
	healthv1.RegisterHealthServer(server, cfg.Health)
	reflection.Register(server)
	return server, nil
}

const (
	// callTimeout bounds a call whose caller set no deadline.
	callTimeout = 30 * time.Second
	// maxReads is how many calls other than Enter may be under way: more would only
	// wait for a connection to the database.
	maxReads = 512
)

// edge is what happens around every call.
type edge struct {
	reads     chan struct{} // holds a value for each call that is not Enter
	validator protovalidate.Validator
	stopping  <-chan struct{}
	age       time.Duration // of a stream of entries; 0: any
	log       *slog.Logger
}

// unary validates the request, keeps a panic to its call, and turns the error
// into a status.
func (e *edge) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer e.rescue(ctx, info.FullMethod, &err)
	if err := validate(e.validator, req); err != nil {
		return nil, toStatus(ctx, e.log, err)
	}
	if info.FullMethod == rafflev1.ParticipationService_Enter_FullMethodName {
		resp, err = next(ctx, req) // its queue is bounded, and its time
	} else {
		resp, err = e.bounded(ctx, req, next)
	}
	return resp, toStatus(ctx, e.log, err)
}

// bounded runs a call if not too many are under way, for as long as callTimeout
// allows.
func (e *edge) bounded(ctx context.Context, req any, next grpc.UnaryHandler) (any, error) {
	select {
	case e.reads <- struct{}{}:
		defer func() { <-e.reads }()
	default:
		return nil, raffle.ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return next(ctx, req)
}

// stream does the same for streams, whose messages their handlers validate.
func (e *edge) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer e.rescue(stream.Context(), info.FullMethod, &err)
	return toStatus(stream.Context(), e.log, next(srv, stream))
}

func (e *edge) rescue(ctx context.Context, method string, err *error) {
	if p := recover(); p != nil {
		e.log.ErrorContext(ctx, "panic in a call", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = toStatus(ctx, e.log, fmt.Errorf("panic: %v", p))
	}
}
