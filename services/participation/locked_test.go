package participation_test

import (
	"fmt"
	"regexp"
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
	quick := func(what string, err error, began time.Time) {
		t.Helper()
		if took := time.Since(began); err != nil || took > time.Second {
			t.Errorf("%s after %v: %v", what, took, err)
		}
	}
	// Two changes of the locked raffle wait for it. The most of the 16 connections for calls
	// are there for others, so that reads wait for none, however slow the machine is.
	used := regexp.MustCompile(`db_client_connection_count{db_client_connection_pool_name="calls",db_client_connection_state="used"} [0-7]\n`)
	for i, start := 0, time.Now(); time.Since(start) < 1500*time.Millisecond; i++ {
		if _, err := b.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: 5 + int64(i%2)}); err != nil {
			t.Errorf("GetRaffle: %v", err)
		}
		if _, err := b.raffles.ListRaffles(ctx, &rafflev1.ListRafflesRequest{}); err != nil {
			t.Errorf("ListRaffles: %v", err)
		}
		if metrics := b.metrics(t); !used.MatchString(metrics) {
			t.Errorf("the locked raffle holds half of the connections:\n%s", metrics)
		}
		began := time.Now()
		_, err := b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 9, MemberId: fmt.Sprint(i)})
		quick("Enter in the same partition", err, began)
		began = time.Now()
		_, err = b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 9, MemberId: fmt.Sprint(i)})
		quick("Withdraw", err, began)
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
