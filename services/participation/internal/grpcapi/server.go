// Package grpcapi serves the contract over gRPC. Each call passes one interceptor
// per concern (see interceptors.go), is decoded, handed to the domain, and encoded;
// errors become statuses in one table (see status.go).
package grpcapi

import (
	"cmp"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
)

const (
	// maxRequest bounds a request in bytes; the largest valid one has under 2 KiB.
	maxRequest = 16 << 10
	// handshakeTimeout bounds the beginning of a connection.
	handshakeTimeout = 2 * time.Second
	// keepaliveTimeout is how long a client may take to say that it is there.
	keepaliveTimeout = 20 * time.Second
	// minPing is the least time between two pings of a client. Clients are asked to ping
	// after 10 s, and a ping may arrive earlier after the one before than it was sent.
	minPing = 5 * time.Second
	// callTimeout bounds every unary call, from its headers on: a caller that sends no
	// message holds a stream for no longer.
	callTimeout = 30 * time.Second
	// streamGrace is how long a stream of entries may need to end after its greatest age.
	streamGrace = 10 * time.Second
	// maxCalls is how many calls may be under way, except those that have a bounded
	// queue of their own: more would only wait for a connection to the database.
	maxCalls = 512
	// maxStreams is how many calls of one connection may be under way. They hold at most
	// some 12 MB; with 250, a connection with 1,000 callers had three fifths of the rate.
	// EnterStream is the way to have more.
	maxStreams = 1000
	// maxHeaders bounds the headers of a call in bytes, as HTTP/2 counts them.
	maxHeaders = 16 << 10
	// maxWatches is how many streams of health and reflection may be open.
	maxWatches = 256
)

// Store reads and changes raffles, reads and withdraws entries, and reads who did what.
type Store interface {
	Raffles
	Ledger
	AuditEvents
}

// Config configures a server.
type Config struct {
	Drawer Drawer
	Health *health.Server
	// When Stopping is closed, streams of entries answer the requests that they have
	// received, and end.
	Stopping <-chan struct{}
	// MaxConnectionAge is how long a connection accepts new calls, and a stream of
	// entries new requests, give or take 10 %, so that clients spread over all
	// instances. 0 means without end.
	MaxConnectionAge time.Duration
	// MaxConnectionIdle is how long a connection without a call is kept, and Keepalive the
	// silence after which a client is asked whether it is there. 0 means without end, and
	// two hours.
	MaxConnectionIdle time.Duration
	Keepalive         time.Duration
	// Until Ready is closed, all calls are refused with raffle.ErrUnavailable, except those
	// of health and reflection. nil means that it is closed.
	Ready <-chan struct{}
	// Availability says whether the database is available. nil means that it always is.
	Availability *Availability
	// PageTokenKey returns the secret that encrypts page tokens. Instances that share it
	// accept each other's tokens. It is called once, after Ready is closed.
	PageTokenKey func() []byte
	// Access says how callers are known. nil means that everybody may do everything.
	Access *Access
	// EntriesPerMember and EntriesPerClient bound the entries of one member, and of one
	// client address, per minute; 0 means no bound.
	EntriesPerMember, EntriesPerClient int
	// Guard bounds the connections that are not in memory. nil means one without bounds in
	// number.
	Guard *Guard
	// TLS is for connections that are not in memory. nil means that they have none.
	TLS      *tls.Config
	Registry prometheus.Registerer // takes the metrics of calls
	Traces   *telemetry.Traces
	Log      *slog.Logger

	// Tests set these; 0 means the constant.
	callTimeout time.Duration
	streamGrace time.Duration
	maxStreams  uint32
}

// NewServer returns a gRPC server with all services, health and reflection.
func NewServer(store Store, writer EntryWriter, cfg Config) (*grpc.Server, error) {
	validator, err := newValidator()
	if err != nil {
		return nil, err
	}
	if cfg.PageTokenKey == nil {
		return nil, errors.New("page tokens need a key")
	}
	tokens := newPageTokens(cfg.PageTokenKey)
	rates := newRates(cfg.EntriesPerMember, cfg.EntriesPerClient)
	server := grpc.NewServer(append(interceptors(&cfg, store, validator, rates), transport(&cfg)...)...)
	rafflev1.RegisterRaffleServiceServer(server, &raffleService{raffles: store, drawer: cfg.Drawer, tokens: tokens})
	rafflev1.RegisterParticipationServiceServer(server, &participationService{
		writer: writer, raffles: store, ledger: store, tokens: tokens,
		validator: validator, rates: rates, stopping: cfg.Stopping, maxStreamAge: cfg.MaxConnectionAge, log: cfg.Log,
	})
	rafflev1.RegisterAuditServiceServer(server, &auditService{events: store, tokens: tokens})
	healthv1.RegisterHealthServer(server, cfg.Health)
	reflection.Register(server)
	return server, nil
}

// interceptors returns what every call passes, from the outside in: metrics,
// status, recovery, readiness, authentication, then for unary calls validation, rates,
// admission and availability. Authentication comes before validation, so that a stranger
// learns nothing of the rules, and because it completes requests: a member's id may be left
// out. What only members may watch is kept from others behind these, since that reads the raffle.
// A stream of entries validates each of its messages, and is bounded, by itself; other
// streams are ended at the stop, and with the token of their caller. Without Access there
// is no authentication, and it costs nothing.
func interceptors(cfg *Config, raffles Store, validator *validator, rates *rates) []grpc.ServerOption {
	metrics := newCalls(cfg.Registry)
	statuses := &statuses{log: cfg.Log}
	// Enter waits in the batch writer, whose queue and transactions are bounded.
	const enter = rafflev1.ParticipationService_Enter_FullMethodName
	admission := newAdmission(maxCalls, enter, healthv1.Health_Check_FullMethodName)
	readiness := &readiness{ready: cfg.Ready}
	ending := newEnding(cfg.Stopping, maxWatches, rafflev1.ParticipationService_EnterStream_FullMethodName)
	unary := []grpc.UnaryServerInterceptor{
		metrics.unary, statuses.unary, recovery.UnaryServerInterceptor(recovered(cfg.Log)), readiness.unary,
	}
	stream := []grpc.StreamServerInterceptor{metrics.stream, statuses.stream}
	if cfg.Access != nil {
		authentication := &authentication{*cfg.Access}
		unary = append(unary, authentication.unary)
		stream = append(stream, recovery.StreamServerInterceptor(recovered(cfg.Log)), authentication.stream)
	}
	unary = append(unary, validator.unary)
	if rates != nil {
		unary = append(unary, rates.unary)
	}
	unary = append(unary, admission.unary, cmp.Or(cfg.Availability, new(Availability)).unary)
	if cfg.Access != nil {
		unary = append(unary, (&watched{&authentication{*cfg.Access}, raffles}).unary)
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(unary...),
		grpc.ChainStreamInterceptor(append(stream, ending.stream,
			recovery.StreamServerInterceptor(recovered(cfg.Log)), readiness.stream)...),
	}
}

// workers is how many goroutines serve one call after the other, so that their stacks,
// which have grown by then, need not grow anew for each call. Calls beyond them have a
// goroutine of their own.
const workers = 1024

// transport returns the bounds of connections and messages, and tracing.
func transport(cfg *Config) []grpc.ServerOption {
	secured := inMemoryCredentials
	if cfg.TLS != nil {
		secured = credentials.NewTLS(cfg.TLS)
	}
	options := []grpc.ServerOption{
		grpc.Creds(guardedCredentials{secured, cmp.Or(cfg.Guard, NewGuard(0, 0))}),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxConcurrentStreams(cmp.Or(cfg.maxStreams, maxStreams)),
		grpc.NumStreamWorkers(workers),
		grpc.InTapHandle(deadline(cmp.Or(cfg.callTimeout, callTimeout))),
		grpc.ForceServerCodecV2(newCodec()),
		// A stop waits for handshakes: one that never comes must not hold it up.
		grpc.ConnectionTimeout(handshakeTimeout),
		// Clients may ping idle connections as often as common proxies need it.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: cfg.Keepalive, Timeout: keepaliveTimeout,
			MaxConnectionAge: cfg.MaxConnectionAge, MaxConnectionIdle: cfg.MaxConnectionIdle,
			// Calls that began before the end of the connection's age: a stream of entries
			// lasts as long as a connection, a tenth more at most, and ends by itself.
			MaxConnectionAgeGrace: max(cmp.Or(cfg.callTimeout, callTimeout), cfg.MaxConnectionAge*11/10+cmp.Or(cfg.streamGrace, streamGrace)),
		}),
	}
	if cfg.Traces.On() {
		options = append(options, grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(cfg.Traces.Provider()), otelgrpc.WithPropagators(telemetry.Propagation),
			otelgrpc.WithMeterProvider(noop.NewMeterProvider()), // calls measures instead
			otelgrpc.WithFilter(filters.Not(filters.HealthCheck())))))
	}
	return options
}
