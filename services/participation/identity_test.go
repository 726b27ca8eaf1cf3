package participation_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// noticed is when a difference must have been noticed and mended: 2 s, and some more
// for a busy machine. The tests of package outbox check the exact times.
const noticed = 5 * time.Second

// setupOn returns a service on this NATS server, with a database of its own.
func setupOn(t *testing.T, nats *natstest.Server, change func(*participation.Config)) *bundle {
	t.Helper()
	b := &bundle{nats: nats, cfg: participation.DefaultConfig()}
	b.cfg.GRPCAddress, b.cfg.HTTPAddress, b.cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	b.cfg.DatabaseURL, b.cfg.NATSURL, b.cfg.Migrate = pgtest.URL(t), nats.URL(), true
	b.cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	change(&b.cfg)
	b.start(t)
	return b
}

// sql executes statements in one transaction.
func (b *bundle) sql(t *testing.T, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), strings.Join(statements, ";")); err != nil {
		t.Fatal(err)
	}
}

// wantPublishedBelowVersion checks every row.
func (b *bundle) wantPublishedBelowVersion(t *testing.T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var wrong int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM raffles WHERE published_version > version`).Scan(&wrong); err != nil || wrong > 0 {
		t.Errorf("%d raffles are published beyond their version (%v)", wrong, err)
	}
}

// awaitTick waits for a tick of the database, so that a state of before is known by its
// ticks. A restore in production takes longer than a tick.
func (b *bundle) awaitTick(t *testing.T) {
	t.Helper()
	before := b.ticks(t)
	testenv.Eventually(t, "the database has ticked", 20*time.Second, func() bool { return b.ticks(t) > before+1 })
}

func (b *bundle) ticks(t *testing.T) int64 {
	t.Helper()
	return b.number(t, `SELECT ticks FROM database_identity`)
}

// number returns the number that a query of the database yields.
func (b *bundle) number(t *testing.T, query string) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// awaitTruth waits until the stream ends with what the database has of a raffle.
func (b *bundle) awaitTruth(t *testing.T, id int64) (odds *rafflev1.Odds) {
	t.Helper()
	var truth *rafflev1.Odds
	defer func() {
		if t.Failed() {
			t.Logf("the stream has %v, the database has %v", odds, truth)
		}
	}()
	testenv.Eventually(t, "the stream has what the database has", noticed, func() bool {
		got, err := b.entries.GetOdds(t.Context(), &rafflev1.GetOddsRequest{RaffleId: id})
		if err != nil {
			t.Fatal(err)
		}
		truth, odds = got.GetOdds(), b.published(t, id)
		return proto.Equal(truth, odds)
	})
	b.wantPublishedBelowVersion(t)
	return odds
}

const (
	backUp = `CREATE TABLE saved_raffles AS SELECT * FROM raffles;
		CREATE TABLE saved_entries AS SELECT * FROM entries;
		CREATE TABLE saved_identity AS SELECT * FROM database_identity`
	restore = `DELETE FROM raffles; INSERT INTO raffles SELECT * FROM saved_raffles;
		DELETE FROM entries; INSERT INTO entries SELECT * FROM saved_entries;
		UPDATE database_identity SET ticks = saved_identity.ticks FROM saved_identity`
	// loseCommits undoes what was committed since the backup, as a failover to an
	// asynchronous standby does right after it.
	loseCommits = `DELETE FROM raffles; INSERT INTO raffles SELECT * FROM saved_raffles;
		DELETE FROM entries; INSERT INTO entries SELECT * FROM saved_entries;
		UPDATE database_identity SET ticks = ticks - 1`
)

// TestIdentity_ARestoredDatabaseShowsNoGhosts is cases B2 and C: a raffle that the
// backup does not have, and another one that gets its id later.
func TestIdentity_ARestoredDatabaseShowsNoGhosts(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"stopped": false, "running": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.create(t, &rafflev1.CreateRaffleRequest{Title: "kept", Winners: 1})
			b.sql(t, backUp)
			b.create(t, &rafflev1.CreateRaffleRequest{Title: "made after the backup", Winners: 1, MaxEntriesPerMember: 12})
			for range 12 {
				b.enter(t, 2, "m")
			}
			before := b.awaitTruth(t, 2)
			b.awaitTick(t)
			if !running {
				if err := b.stop(); err != nil {
					t.Fatal(err)
				}
			}
			b.sql(t, restore, `ALTER TABLE raffles ALTER COLUMN id RESTART WITH 2`)
			if !running {
				b.start(t)
			}
			testenv.Eventually(t, "viewers are told that the raffle is gone", noticed, func() bool { return b.published(t, 2).GetRemoved() })
			gone := b.published(t, 2)
			if gone.GetVersion() != before.GetVersion()+1 || gone.GetEpoch() != before.GetEpoch() || gone.GetState() != rafflev1.Raffle_CANCELLED {
				t.Errorf("the end of raffle 2: %v", gone)
			}
			b.create(t, &rafflev1.CreateRaffleRequest{Title: "NEW", Winners: 1, MaxEntriesPerMember: 3})
			for range 3 {
				b.enter(t, 2, "m")
			}
			after := b.awaitTruth(t, 2)
			if after.GetTitle() != "NEW" || after.GetEntries() != 3 || after.GetEpoch() == before.GetEpoch() || after.GetVersion() != 4 {
				t.Errorf("the new raffle 2: %v", after)
			}
			b.awaitTruth(t, 1)
		})
	}
}

// TestIdentity_ANewRaffleReplacesAGhostAtOnce has the id taken again before anything
// is compared.
func TestIdentity_ANewRaffleReplacesAGhostAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "ghost", Winners: 1, MaxEntriesPerMember: 5})
	for range 5 {
		b.enter(t, 1, "m")
	}
	b.awaitTruth(t, 1)
	b.sql(t, `DELETE FROM raffles; DELETE FROM entries; ALTER TABLE raffles ALTER COLUMN id RESTART WITH 1`)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "NEW", Winners: 1})
	if odds := b.awaitTruth(t, 1); odds.GetTitle() != "NEW" || odds.GetVersion() != 1 {
		t.Errorf("published %v", odds)
	}
}

// TestIdentity_TwoDatabasesDoNotShareAStream is case B3.
func TestIdentity_TwoDatabasesDoNotShareAStream(t *testing.T) {
	t.Parallel()
	production := setup(t)
	production.create(t, &rafflev1.CreateRaffleRequest{Title: "prod one", Winners: 1, MaxEntriesPerMember: 20})
	production.enter(t, 1, "m")
	production.awaitTruth(t, 1)
	var mu sync.Mutex
	var log strings.Builder
	staging := setupOn(t, production.nats, func(cfg *participation.Config) {
		cfg.Log = slog.New(slog.NewTextHandler(onWrite(func(line string) {
			mu.Lock()
			defer mu.Unlock()
			log.WriteString(line)
		}), nil))
	})
	staging.create(t, &rafflev1.CreateRaffleRequest{Title: "STAGING test raffle", Winners: 1, MaxEntriesPerMember: 20})
	for range 10 {
		staging.enter(t, 1, "m")
	}
	testenv.Eventually(t, "staging says that the stream is another's", noticed, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(log.String(), "NATS_PREFIX")
	})
	if got := staging.metrics(t); !strings.Contains(got, "rafflecast_participation_stream_foreign 1") {
		t.Error("the metric does not say that the stream is another's")
	}
	if code, body := staging.ready(t); code != http.StatusServiceUnavailable || !strings.Contains(body, "--nats-prefix") {
		t.Errorf("staging is ready: %d %s", code, body)
	}
	if code, body := production.ready(t); code != http.StatusOK || !strings.Contains(production.metrics(t), "rafflecast_participation_stream_foreign 0") {
		t.Errorf("production is not ready: %d %s", code, body)
	}
	production.enter(t, 1, "m")
	if odds := production.awaitTruth(t, 1); odds.GetTitle() != "prod one" || odds.GetVersion() != 3 {
		t.Errorf("production shows %v", odds)
	}

	if err := staging.stop(); err != nil {
		t.Fatal(err)
	}
	staging.cfg.NATSPrefix = "staging"
	staging.start(t)
	if odds := staging.awaitTruth(t, 1); odds.GetTitle() != "STAGING test raffle" {
		t.Errorf("staging shows %v", odds)
	}
	if code, body := staging.ready(t); code != http.StatusOK {
		t.Errorf("staging is not ready: %d %s", code, body)
	}
	production.awaitTruth(t, 1)
}

// ready returns what /readyz answers.
func (b *bundle) ready(t *testing.T) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.at.Ops.String()+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestIdentity_AnUpgradeChangesNothing starts on a stream of an earlier version, which
// has no metadata and no epochs.
func TestIdentity_AnUpgradeChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	odds := b.awaitTruth(t, 1)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	odds.Epoch = ""
	data, err := proto.Marshal(odds)
	if err != nil {
		t.Fatal(err)
	}
	js := b.nats.JetStream()
	if err := js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := oddsstream.Create(t.Context(), js, oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), oddsstream.Subject(1), data); err != nil {
		t.Fatal(err)
	}
	b.start(t)
	testenv.Eventually(t, "the stream is marked", noticed, func() bool {
		stream, err := js.Stream(t.Context(), oddsstream.Name)
		return err == nil && stream.CachedInfo().Config.Metadata[oddsstream.ReconciledKey] == "true"
	})
	if got := b.published(t, 1); !proto.Equal(got, odds) {
		t.Errorf("published %v", got)
	}
	b.enter(t, 1, "m")
	if got := b.awaitTruth(t, 1); got.GetVersion() != 2 || got.GetEpoch() == "" {
		t.Errorf("published %v", got)
	}
}
