package grpcapi

import (
	"context"
	"net"
	"os"
	"regexp"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// guideClient returns a client of a server in memory with the service config of
// deploy/README.md, and the resolver of its name, which has one address.
func guideClient(t *testing.T, serve func(context.Context) (net.Conn, error)) (rafflev1.ParticipationServiceClient, *manual.Resolver) {
	t.Helper()
	guide, err := os.ReadFile("../../../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	config := regexp.MustCompile("(?s)grpc\\.WithDefaultServiceConfig\\(`(.+?)`\\)").FindSubmatch(guide)
	if config == nil {
		t.Fatal("the guide has no service config")
	}
	service := manual.NewBuilderWithScheme("service")
	service.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: "memory"}}})
	conn, err := grpc.NewClient("service:///participation", grpc.WithResolvers(service), grpc.WithDefaultServiceConfig(string(config[1])),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return serve(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return rafflev1.NewParticipationServiceClient(conn), service
}

// The retries of gRPC wait as long as the service asks for, although they do not know
// RetryInfo.
func TestGuide_RetriesAsTheServiceAsks(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	entries, _ := guideClient(t, b.dial)
	var at []time.Time
	b.store.call = func(context.Context) error {
		if at = append(at, time.Now()); len(at) == 1 {
			return raffle.ErrUnavailable
		}
		return nil
	}
	if _, err := entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7"}); err != nil {
		t.Fatal(err)
	}
	if len(at) != 2 || at[1].Sub(at[0]) < unavailableDelay {
		t.Errorf("attempts at %v", at)
	}
	b.store.call = func(context.Context) error { return &raffle.NotFoundError{RaffleID: 1} }
	_, err := entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7"})
	wantError(t, err, codes.NotFound, "RAFFLE_NOT_FOUND")
}

// Once no instance is ready, a Service of Kubernetes has no address, and gRPC answers calls
// by itself, without RetryInfo. It repeats them as well.
func TestGuide_RetriesWhileThereIsNoInstance(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	entries, service := guideClient(t, b.dial)
	enter := func(ctx context.Context) error {
		_, err := entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7"})
		return err
	}
	if err := enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	service.UpdateState(resolver.State{})
	began := time.Now()
	err := enter(t.Context())
	if took := time.Since(began); status.Code(err) != codes.Unavailable || len(status.Convert(err).Details()) != 0 || took < 2*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- enter(t.Context()) }()
	service.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: "memory"}}})
	if err := <-ended; err != nil {
		t.Errorf("once there is one: %v", err)
	}
}
