package standalone

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/participation"
)

// makeFirstRaffle makes a raffle where there is none, so that there is something
// to look at. In an empty database it gets id 1.
func makeFirstRaffle(ctx context.Context, address string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("first raffle: %w", err)
	}
	defer conn.Close()
	raffles := rafflev1.NewRaffleServiceClient(conn)
	list, err := raffles.ListRaffles(ctx, &rafflev1.ListRafflesRequest{PageSize: 1})
	if err != nil {
		return fmt.Errorf("first raffle: %w", err)
	}
	if len(list.GetRaffles()) > 0 {
		return nil
	}
	if _, err := raffles.CreateRaffle(ctx, &rafflev1.CreateRaffleRequest{Title: "Signed guitar", Winners: 1}); err != nil {
		return fmt.Errorf("first raffle: %w", err)
	}
	return nil
}

// welcome tells where everything is, and what to try, once it can be tried.
func welcome(ctx context.Context, cfg Config, database string, front gateway.Addresses, entries participation.Addresses) error {
	if err := awaitReady(ctx, front.Ops.String()); err != nil {
		return err
	}
	if cfg.Started != nil {
		cfg.Started(front, entries)
	}
	_, err := fmt.Fprintf(cfg.Out, `
Rafflecast is running. Ctrl-C stops it.

  the page        http://%[1]s/
  the database    %[5]s
  operations      http://%[2]s/metrics (gateway), http://%[3]s/metrics (participation)

Try, in another terminal:

  curl -N 'http://%[1]s/api/v1/raffles/1/subscribe'
  curl -X POST 'http://%[1]s/api/v1/raffles/1/entries?memberId=7'
  go run github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 -plaintext -d '{"raffleId":1,"memberId":"8"}' %[4]s raffle.v1.ParticipationService/Enter

`, front.HTTP, front.Ops, entries.Ops, entries.GRPC, database)
	return err
}

// awaitReady waits until the gateway at this operations address is ready.
func awaitReady(ctx context.Context, address string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("ask the gateway: %w", err)
		}
		resp, err := http.DefaultClient.Do(req)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // stopping, which is no failure
		}
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}
