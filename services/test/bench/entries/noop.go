//go:build unix

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/httpserver"
	"github.com/rafflecast/rafflecast/services/internal/ops"
)

// noop is a server that answers entries as the service does, without validation or
// a store.
type noop struct {
	rafflev1.UnimplementedRaffleServiceServer
	rafflev1.UnimplementedParticipationServiceServer
	now  *timestamppb.Timestamp // when it started
	odds *rafflev1.Odds
}

func newNoop() *noop {
	now := timestamppb.New(time.Now())
	half := 0.5
	return &noop{now: now, odds: &rafflev1.Odds{
		Id: 1, Version: 1000, State: rafflev1.Raffle_OPEN, Title: "Load",
		Entries: 1_000_000, Members: 1_000_000, Winners: 1, WinnerProbability: &half, NextEntryProbability: &half, At: now,
	}}
}

func (s *noop) enter(req *rafflev1.EnterRequest) *rafflev1.EnterResponse {
	return &rafflev1.EnterResponse{
		Entry: &rafflev1.Entry{
			RaffleId:  req.GetRaffleId(),
			MemberId:  req.GetMemberId(),
			Ordinal:   1,
			CreatedAt: s.now,
		},
		MemberEntries: 1,
		Odds:          s.odds,
	}
}

func (s *noop) CreateRaffle(context.Context, *rafflev1.CreateRaffleRequest) (*rafflev1.CreateRaffleResponse, error) {
	return &rafflev1.CreateRaffleResponse{Raffle: &rafflev1.Raffle{Id: 1}}, nil
}

func (s *noop) Enter(_ context.Context, req *rafflev1.EnterRequest) (*rafflev1.EnterResponse, error) {
	return s.enter(req), nil
}

func (s *noop) EnterStream(
	stream grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse],
) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		resp := &rafflev1.EnterStreamResponse{
			CorrelationId: req.GetCorrelationId(),
			Result:        &rafflev1.EnterStreamResponse_Entered{Entered: s.enter(req.GetEnter())},
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

// serveNoop serves until ctx ends, on a gRPC server with the service's limits.
func serveNoop(ctx context.Context, ready func(address, ops string)) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("no-op server: %w", err)
	}
	opsListener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("no-op server: %w", err)
	}
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(16<<10),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	)
	handler := newNoop()
	rafflev1.RegisterRaffleServiceServer(server, handler)
	rafflev1.RegisterParticipationServiceServer(server, handler)
	operations := httpserver.New(ops.Handler(ops.NewRegistry(), func() error { return nil }))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(listener) })
	g.Go(func() error { return httpserver.Serve(operations, opsListener) })
	g.Go(func() error { <-ctx.Done(); server.Stop(); return operations.Close() })
	ready(listener.Addr().String(), opsListener.Addr().String())
	return g.Wait()
}
