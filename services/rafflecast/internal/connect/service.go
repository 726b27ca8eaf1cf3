package connect

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

const (
	dialTimeout = 3 * time.Second
	callTimeout = 30 * time.Second // no call of the service takes longer
)

// serviceConfig spreads calls over all addresses of a name, and repeats those that the
// service could not answer: each of ours may be repeated, by its request id if it
// changes something.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.2s", "maxBackoff": "2s",
    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]}}]}`

// Service says where participation is, and who calls it.
type Service struct {
	Target string `name:"target" env:"RAFFLECAST_TARGET" default:"127.0.0.1:9090" is:"grpc-target" group:"Connection:" help:"Address of participation's gRPC API."`

	Credentials Credentials `embed:""`
}

// Client calls a service. Its errors are sentences for people, with the exit code of a
// command.ExitError. Safe for concurrent use.
type Client struct {
	Raffles rafflev1.RaffleServiceClient
	Entries rafflev1.ParticipationServiceClient
	Audit   rafflev1.AuditServiceClient

	conn *grpc.ClientConn
}

// Connect returns a client, which the caller closes. It fails if nobody answers within
// 3 s.
func (s *Service) Connect(ctx context.Context) (*Client, error) {
	options, err := s.Credentials.DialOptions()
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(s.Target, append(options,
		grpc.WithDefaultServiceConfig(serviceConfig), grpc.WithUnaryInterceptor(s.explainErrors))...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.Target, err)
	}
	if !await(ctx, conn) {
		_ = conn.Close()
		return nil, nobodyAnswers(s.Target)
	}
	return &Client{
		Raffles: rafflev1.NewRaffleServiceClient(conn), Entries: rafflev1.NewParticipationServiceClient(conn),
		Audit: rafflev1.NewAuditServiceClient(conn), conn: conn,
	}, nil
}

// Close closes the connection.
func (c *Client) Close() { _ = c.conn.Close() }

// await waits until the connection is made or has failed, and reports false if neither
// happens within 3 s. Why it has failed, the first call tells.
func await(ctx context.Context, conn *grpc.ClientConn) bool {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn.Connect()
	for {
		state := conn.GetState()
		if state == connectivity.Ready || state == connectivity.TransientFailure {
			return true
		}
		if !conn.WaitForStateChange(ctx, state) {
			return false
		}
	}
}

// Check fails with a sentence unless conn is connected to the service at target, or is
// within 3 s.
func Check(ctx context.Context, conn *grpc.ClientConn, target string) error {
	if !await(ctx, conn) {
		return nobodyAnswers(target)
	}
	if conn.GetState() == connectivity.Ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := rafflev1.NewRaffleServiceClient(conn).ListRaffles(ctx, &rafflev1.ListRafflesRequest{PageSize: 1})
	if err != nil {
		return explain(target, err)
	}
	return nil
}

// explainErrors turns the errors of calls into sentences, and bounds the time of calls.
func (s *Service) explainErrors(
	ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := invoke(ctx, method, req, reply, conn, options...); err != nil {
		return explain(s.Target, err)
	}
	return nil
}
