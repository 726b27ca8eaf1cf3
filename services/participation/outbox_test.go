package participation_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// discard is a queue of a process that crashes before it publishes.
type discard struct{}

// Enqueue implements postgres.Queue.
func (discard) Enqueue(context.Context, ...raffle.Raffle) {}

func TestOutbox_PublishesWhatACrashLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(t.Context(), b.cfg.DatabaseURL, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	crashes := postgres.New(pool, pool, discard{})
	commit := func(member string) {
		t.Helper()
		results, err := crashes.EnterBatch(t.Context(), []raffle.EnterRequest{{RaffleID: 1, MemberID: member}})
		if err != nil || results[0].Err != nil {
			t.Fatal(results, err)
		}
	}
	commit("before the start")
	if v := b.published(t, 1).GetVersion(); v != 1 {
		t.Fatalf("version %d is published", v)
	}
	b.start(t)
	testenv.Eventually(t, "another instance publishes at its start", 5*time.Second, func() bool { return b.published(t, 1).GetVersion() == 2 })
	commit("after the start")
	testenv.Eventually(t, "another instance publishes", 5*time.Second, func() bool { return b.published(t, 1).GetVersion() == 3 })
}

func TestOutbox_ConflatesVersions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	b.cfg.ConflationInterval = time.Second
	b.start(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 100})
	const entries = 20
	for range entries { // takes much less than the interval
		b.enter(t, 1, "m")
	}
	testenv.Eventually(t, "the last version is published", 5*time.Second, func() bool { return b.published(t, 1).GetVersion() == entries+1 })
	stream, err := b.nats.JetStream().Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n > entries/2 {
		t.Errorf("%d messages for %d versions", n, entries+1)
	}
}

func TestScheduler_ClosesARaffle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, ClosesAt: timestamppb.New(time.Now().Add(time.Second))})
	testenv.Eventually(t, "the final odds are published", 10*time.Second, func() bool {
		return b.published(t, 1).GetState() == rafflev1.Raffle_CLOSED
	})
	_, err := b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "m"})
	wantError(t, err, codes.FailedPrecondition, "RAFFLE_NOT_OPEN")
}

func TestEnter_SucceedsWhileNATSIsUnavailable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	b.nats.Stop()
	for _, member := range []string{"a", "b"} {
		if _, err := b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: member}); err != nil {
			t.Fatal(err)
		}
	}
	b.nats.Start()
	testenv.Eventually(t, "published once NATS is back", 10*time.Second, func() bool { return b.published(t, 1).GetEntries() == 2 })
}

func TestEnter_SucceedsWhileAnotherInstanceIsFrozen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	// Another instance locks the raffle, as instances do, and freezes.
	conn, err := pgx.Connect(t.Context(), b.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{`BEGIN`, postgres.Settings, `SELECT FROM raffles WHERE id = 1 FOR NO KEY UPDATE`} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// Until PostgreSQL ends the frozen transaction, calls are refused with a delay
	// after which to retry.
	testenv.Eventually(t, "the raffle is free again", 10*time.Second, func() bool {
		_, err := b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "m"})
		if err != nil {
			wantError(t, err, codes.Unavailable, "STORE_UNAVAILABLE")
		}
		return err == nil
	})
}
