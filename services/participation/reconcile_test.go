package participation_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// setupPublished returns a service with three raffles, one of them closed, that are
// published with versions 2, 2 and 3.
func setupPublished(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	for id := int64(1); id <= 3; id++ {
		b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
		b.enter(t, id, "first")
	}
	if _, err := b.raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: 3}); err != nil {
		t.Fatal(err)
	}
	b.awaitVersions(t, 2, 2, 3)
	return b
}

func (b *bundle) enter(t *testing.T, id int64, member string) {
	t.Helper()
	if _, err := b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: id, MemberId: member}); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) awaitVersions(t *testing.T, want ...int64) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprint("versions ", want, " in the stream"), 15*time.Second, func() bool {
		for i, version := range want {
			if b.published(t, int64(i+1)).GetVersion() != version {
				return false
			}
		}
		return true
	})
}

func TestReconcile_FillsADeletedStream(t *testing.T) {
	t.Parallel()
	b := setupPublished(t)
	if err := b.nats.JetStream().DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	b.awaitVersions(t, 2, 2, 3)
}

func TestReconcile_FillsAStreamThatWasMadeAgain(t *testing.T) {
	t.Parallel()
	b := setupPublished(t)
	js := b.nats.JetStream()
	if err := js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	// The service may make it at the same moment.
	if _, err := oddsstream.Create(t.Context(), js, oddsstream.Config(1)); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		t.Fatal(err)
	}
	b.enter(t, 1, "second") // the sequences begin at 1 again
	b.awaitVersions(t, 3, 2, 3)
}

func TestReconcile_FillsAStreamThatLostItsTail(t *testing.T) {
	t.Parallel()
	b := setupPublished(t)
	b.nats.Stop()
	before := t.TempDir()
	copyDir(t, before, b.nats.Dir())
	b.nats.Start()
	b.enter(t, 1, "second")
	b.enter(t, 2, "second")
	b.awaitVersions(t, 3, 3, 3)

	// A power cut takes the messages that were acknowledged last.
	b.nats.Stop()
	if err := os.RemoveAll(b.nats.Dir()); err != nil {
		t.Fatal(err)
	}
	copyDir(t, b.nats.Dir(), before)
	b.nats.Start()
	b.awaitVersions(t, 3, 3, 3)
}

func TestReconcile_FillsAServerThatLostItsData(t *testing.T) {
	t.Parallel()
	b := setupPublished(t)
	b.nats.Stop()
	if err := os.RemoveAll(b.nats.Dir()); err != nil {
		t.Fatal(err)
	}
	b.nats.Start()
	b.awaitVersions(t, 2, 2, 3)
}

func TestReconcile_BumpsVersionsOfARestoredDatabase(t *testing.T) {
	t.Parallel()
	b := setupPublished(t)
	b.enter(t, 1, "second")
	b.enter(t, 1, "third")
	b.awaitVersions(t, 4, 2, 3)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	// The backup was made at version 2, with one entry.
	conn, err := pgx.Connect(t.Context(), b.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, sql := range []string{
		`DELETE FROM entries WHERE raffle_id = 1 AND member_id <> 'first'`,
		`UPDATE raffles SET entries = 1, members = 1, version = 2, published_version = 2 WHERE id = 1`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	b.start(t)
	b.awaitVersions(t, 5, 2, 3)
	if o := b.published(t, 1); o.GetEntries() != 1 {
		t.Errorf("published %v", o)
	}
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
