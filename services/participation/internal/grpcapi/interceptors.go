package grpcapi

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcmetadata "google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// statuses turns the errors of all inner interceptors and handlers into statuses.
type statuses struct{ log *slog.Logger }

func (s *statuses) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if err != nil {
		err = toStatus(ctx, s.log, err)
		pushBack(ctx, err)
		return nil, err
	}
	return resp, nil
}

// pushBack lets the retries of gRPC itself, which do not know RetryInfo, wait as long as it
// asks for: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
func pushBack(ctx context.Context, err error) {
	st := status.Convert(err)
	if st.Code() != codes.Unavailable && st.Code() != codes.ResourceExhausted {
		return
	}
	for _, detail := range st.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			wait := strconv.FormatInt(retry.GetRetryDelay().AsDuration().Milliseconds(), 10)
			_ = grpc.SetTrailer(ctx, grpcmetadata.Pairs("grpc-retry-pushback-ms", wait)) // fails only without a call
		}
	}
}

func (s *statuses) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := next(srv, stream); err != nil {
		return toStatus(stream.Context(), s.log, err)
	}
	return nil
}

// recovered returns the option by which a panic is logged with its stack, and fails
// its call only.
func recovered(log *slog.Logger) recovery.Option {
	return recovery.WithRecoveryHandlerContext(func(ctx context.Context, p any) error {
		method, _ := grpc.Method(ctx)
		log.ErrorContext(ctx, "panic in a call", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		return fmt.Errorf("panic: %v", p)
	})
}

// unary refuses requests that break the rules of the contract.
func (v *validator) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := v.check(req); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

// admission refuses calls while too many others are under way.
type admission struct {
	slots  chan struct{} // holds a value for each call that was admitted
	exempt map[string]bool
}

// newAdmission returns an admission limit of n calls at once. The exempt methods
// are neither counted nor refused.
func newAdmission(n int, exempt ...string) *admission {
	return &admission{slots: make(chan struct{}, n), exempt: set(exempt)}
}

func (a *admission) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if a.exempt[info.FullMethod] {
		return next(ctx, req)
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		return nil, raffle.ErrBusy
	}
	return next(ctx, req)
}

// deadline bounds the time of unary calls from when their headers come, before there is
// a message that an interceptor could see. An earlier deadline of the caller stays in
// force. Streams bound their time by themselves.
func deadline(timeout time.Duration) tap.ServerInHandle {
	streams := set([]string{
		rafflev1.ParticipationService_EnterStream_FullMethodName, healthv1.Health_Watch_FullMethodName,
		reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName,
		reflectionv1alpha.ServerReflection_ServerReflectionInfo_FullMethodName,
	})
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		if streams[info.FullMethodName] {
			return ctx, nil
		}
		// gRPC cancels ctx at the end of the call, which frees what this takes.
		ctx, cancel := context.WithTimeout(ctx, timeout) //nolint:gosec // G118: gRPC cancels the parent at the end of the call
		_ = cancel
		return ctx, nil
	}
}

// readiness refuses calls of our services until the database can be used.
type readiness struct{ ready <-chan struct{} }

func (r *readiness) check(fullMethod string) error {
	if r.ready == nil || !strings.HasPrefix(fullMethod, "/raffle.") {
		return nil
	}
	select {
	case <-r.ready:
		return nil
	default:
		return fmt.Errorf("%w: the service is starting", raffle.ErrUnavailable)
	}
}

func (r *readiness) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := r.check(info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (r *readiness) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := r.check(info.FullMethod); err != nil {
		return err
	}
	return next(srv, stream)
}

// ending ends streams that nothing else ends: a client may watch the health of the
// service, or keep a stream of reflection open, for as long as it likes. They end at the
// stop, and when the caller's token expires.
type ending struct {
	stopping <-chan struct{}
	slots    chan struct{} // holds a value for each such stream
	exempt   map[string]bool
}

// endingNotice is how long a client that watches the service's health has to hear that
// it does not serve any more.
const endingNotice = 100 * time.Millisecond

// newEnding returns an ending for at most n streams at once of all methods but the
// exempt ones.
func newEnding(stopping <-chan struct{}, n int, exempt ...string) *ending {
	return &ending{stopping: stopping, slots: make(chan struct{}, n), exempt: set(exempt)}
}

func (e *ending) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if e.exempt[info.FullMethod] {
		return next(srv, stream)
	}
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		return raffle.ErrBusy
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	// Only the end of the stream interrupts a Recv. So the handler may outlive this call,
	// by the time that gRPC takes to end the stream.
	ended := make(chan error, 1)
	go func() { ended <- next(srv, &streamUntil{stream, ctx}) }()
	expired, stop := expiryOf(ctx)
	defer stop()
	select {
	case err := <-ended:
		return err
	case <-expired:
		return access.ErrExpired
	case <-e.stopping:
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(endingNotice):
		return fmt.Errorf("%w: the service is stopping", raffle.ErrUnavailable)
	}
}

// expiryOf returns a channel that receives when the caller's token, or its certificate,
// expires; nil if nobody is authenticated. stop must be called.
func expiryOf(ctx context.Context) (expired <-chan time.Time, stop func()) {
	who := access.From(ctx)
	if who == nil {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(who.Expires))
	return timer.C, func() { timer.Stop() }
}

// streamUntil is a stream with a context of its own.
type streamUntil struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // it is what the method returns
}

// Context implements grpc.ServerStream.
func (s *streamUntil) Context() context.Context { return s.ctx }

func set(names []string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}
