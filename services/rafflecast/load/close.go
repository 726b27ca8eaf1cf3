package load

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// Close closes a raffle and writes its final odds to out. It waits up to 30 s for a
// service that is unavailable.
func Close(ctx context.Context, cfg CloseConfig, out io.Writer) error {
	options, err := cfg.Options()
	if err != nil {
		return err
	}
	conns, err := Dial(cfg.Target, 1, options...)
	if err != nil {
		return err
	}
	defer conns.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	id := int64(cfg.Raffle)
	if _, err := rafflev1.NewRaffleServiceClient(conns[0]).
		CloseRaffle(ctx, &rafflev1.CloseRaffleRequest{RaffleId: id}, grpc.WaitForReady(true)); err != nil {
		return fmt.Errorf("close raffle %d at %s: %w", id, cfg.Target, err)
	}
	resp, err := rafflev1.NewParticipationServiceClient(conns[0]).
		GetOdds(ctx, &rafflev1.GetOddsRequest{RaffleId: id}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("odds of raffle %d at %s: %w", id, cfg.Target, err)
	}
	fmt.Fprintf(
		out,
		"raffle %d closed, version %d, %d entries\n",
		id,
		resp.GetOdds().GetVersion(),
		resp.GetOdds().GetEntries(),
	)
	return nil
}
