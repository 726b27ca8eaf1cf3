package participation_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// wantLocked checks that a call was told to try again.
func wantLocked(t *testing.T, err error) {
	t.Helper()
	for _, d := range wantError(t, err, codes.Unavailable, "STORE_UNAVAILABLE").Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok && retry.GetRetryDelay().AsDuration() > 0 {
			return
		}
	}
	t.Error("no RetryInfo")
}

func TestService_GoesOnWhileARaffleIsLocked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	for range 9 { // 1, 5 and 9 share a partition
		b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 1000})
	}
	stranger, err := pgx.Connect(ctx, b.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close(ctx)
	if _, err := stranger.Exec(ctx, `BEGIN; SELECT FROM raffles WHERE id = 5 FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	for i := range 40 {
		waiting.Go(func() {
			began := time.Now()
			var err error
			if i%2 == 0 {
				_, err = b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 5, MemberId: fmt.Sprint(i)})
			} else {
				_, err = b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 5, MemberId: fmt.Sprint(i)})
			}
			wantLocked(t, err)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("call %d of the locked raffle took %v", i, took)
			}
		})
	}
	quick := func(what string, limit time.Duration, err error, began time.Time) {
		t.Helper()
		if took := time.Since(began); err != nil || took > limit {
			t.Errorf("%s after %v: %v", what, took, err)
		}
	}
	for i, start := 0, time.Now(); time.Since(start) < 1500*time.Millisecond; i++ {
		began := time.Now()
		_, err := b.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: 5 + int64(i%2)})
		quick("GetRaffle", 100*time.Millisecond, err, began)
		began = time.Now()
		_, err = b.raffles.ListRaffles(ctx, &rafflev1.ListRafflesRequest{})
		quick("ListRaffles", 100*time.Millisecond, err, began)
		began = time.Now()
		_, err = b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 9, MemberId: fmt.Sprint(i)})
		quick("Enter in the same partition", time.Second, err, began)
		began = time.Now()
		_, err = b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 9, MemberId: fmt.Sprint(i)})
		quick("Withdraw", time.Second, err, began)
	}
	made := b.create(t, &rafflev1.CreateRaffleRequest{Title: "B", Winners: 1, ClosesAt: timestamppb.New(time.Now().Add(time.Second))})
	testenv.Eventually(t, "a due raffle is closed and published", 4*time.Second, func() bool {
		return b.published(t, made.GetId()).GetState() == rafflev1.Raffle_CLOSED
	})
	waiting.Wait()
	if _, err := stranger.Exec(ctx, `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 5, MemberId: "after"}); err != nil {
		t.Error(err)
	}
}
