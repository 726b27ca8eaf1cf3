package standalone

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/participation"
)

// firstDelay is the time between the closing and the draw of the first raffle: the
// shortest, so that nobody has to wait.
const firstDelay = 10 * time.Second

// makeFirstRaffle makes a raffle if there is none, so that there is something to
// look at. In an empty database it gets id 1.
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
	if _, err := raffles.CreateRaffle(ctx, &rafflev1.CreateRaffleRequest{
		Title: "Signed guitar", Winners: 1, Alternates: 1,
		Draw: &rafflev1.Draw{Delay: durationpb.New(firstDelay)},
	}); err != nil {
		return fmt.Errorf("first raffle: %w", err)
	}
	return nil
}

// writeWelcome writes where everything is, and what to try.
func writeWelcome(w io.Writer, stores *stores, gateway gateway.Addresses, participation participation.Addresses) {
	database := "the one of DATABASE_URL"
	if stores.postgres != nil {
		database = "psql '" + stores.databaseURL + "'"
	}
	fmt.Fprintf(w, `
Rafflecast is running. Ctrl-C stops it.

  the page        http://%[1]s/
  the database    %[5]s
  operations      http://%[2]s/metrics (gateway), http://%[3]s/metrics (participation)

Try, in another terminal:

  curl -N 'http://%[1]s/api/v1/raffles/1/subscribe'
  curl -X POST 'http://%[1]s/api/v1/raffles/1/entries?memberId=7'
  go run github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 -plaintext -d '{"raffleId":1,"memberId":"8"}' %[4]s raffle.v1.ParticipationService/Enter

`, gateway.HTTP, gateway.Ops, participation.Ops, participation.GRPC, database)
}
