package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// Options are what a Client may need besides an address. The zero value is for a service
// that has neither TLS nor authentication, as make run starts it.
type Options struct {
	// TLS configures connections. nil means that they have no TLS.
	TLS *tls.Config
	// Tokens has the token of each call. It is asked again when a token is about to expire,
	// or has by the service's clock. Without TLS tokens are sent to this machine only.
	Tokens oauth2.TokenSource
	// Dial is applied last.
	Dial []grpc.DialOption
}

// Client calls a participation service. Make one with New, use it for all calls of a
// process, and close it.
type Client struct {
	// Entries and Raffles have all calls of the contract. Unary ones are retried and have
	// request ids as the package says; Entries.EnterStream is the bare call, see Stream.
	Entries rafflev1.ParticipationServiceClient
	Raffles rafflev1.RaffleServiceClient

	conn   *grpc.ClientConn
	tokens *tokens
}

// serviceConfig spreads calls over all addresses of a name, such as those of a headless
// Service of Kubernetes. It has no retries: gRPC's end after five attempts.
const serviceConfig = `{"loadBalancingConfig":[{"round_robin":{}}]}`

// A dead link is noticed after 13 s of silence. The service permits a ping each 10 s.
const (
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 3 * time.Second
)

// connecting bounds the time between two attempts to connect, which is two minutes
// otherwise: a service that is back is called within seconds.
var connecting = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: firstPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastPause},
	MinConnectTimeout: lastPause,
}

// New returns a client of the service at a target of gRPC, such as
// dns:///participation:9090. It connects when the first call needs it.
func New(target string, o Options) (*Client, error) {
	c := &Client{}
	secured := insecure.NewCredentials()
	if o.TLS != nil {
		secured = credentials.NewTLS(o.TLS)
	}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(secured),
		grpc.WithDefaultServiceConfig(serviceConfig),
		SteadyDNS(),
		grpc.WithConnectParams(connecting),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithChainUnaryInterceptor(c.call),
	}
	if o.Tokens != nil {
		c.tokens = &tokens{source: o.Tokens, needTLS: !isLoopback(target)}
		dial = append(dial, grpc.WithPerRPCCredentials(c.tokens))
	}
	conn, err := grpc.NewClient(target, append(dial, o.Dial...)...)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", target, err)
	}
	c.conn = conn
	c.Entries, c.Raffles = rafflev1.NewParticipationServiceClient(conn), rafflev1.NewRaffleServiceClient(conn)
	return c, nil
}

// Close ends all connections. Calls under way fail.
func (c *Client) Close() error { return c.conn.Close() }

// Enter places one entry of a member, exactly once. A member that is known by its token
// may be "".
func (c *Client) Enter(ctx context.Context, raffleID int64, memberID string) (*rafflev1.EnterResponse, error) {
	return c.Entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: raffleID, MemberId: memberID})
}

// Withdraw takes a member's newest entry back, once.
func (c *Client) Withdraw(ctx context.Context, raffleID int64, memberID string) (*rafflev1.WithdrawResponse, error) {
	return c.Entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: raffleID, MemberId: memberID})
}

// call is the interceptor of unary calls: it sends a call until it succeeds, fails for
// good, or ctx ends. If the deadline comes before the next attempt, the error is that of
// the last one.
func (c *Client) call(
	ctx context.Context, method string, req, reply any,
	conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	req = withRequestID(req)
	renewed := false
	for attempts := 1; ; attempts++ {
		err := invoke(ctx, method, req, reply, conn, options...)
		if err == nil {
			return nil
		}
		e := newError(status.Convert(err))
		if e.Reason == tokenExpired && !renewed && c.tokens.drop() {
			renewed = true
			continue
		}
		wait := pause(attempts, e.RetryAfter)
		if deadline, ok := ctx.Deadline(); !e.mayPass() || ok && time.Until(deadline) < wait {
			return e.givenUp()
		}
		if !sleep(ctx, wait) {
			return newError(status.FromContextError(ctx.Err()))
		}
	}
}

// withRequestID returns the request, or a copy with a new request id if it has none but
// may have one.
func withRequestID(req any) any {
	m, ok := req.(proto.Message)
	if !ok {
		return req
	}
	field := m.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil || field.Kind() != protoreflect.StringKind || m.ProtoReflect().Has(field) {
		return req
	}
	m = proto.Clone(m)
	m.ProtoReflect().Set(field, protoreflect.ValueOfString(uuid.NewString()))
	return m
}
