package postgres_test

import (
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// strangeTimes are times that PostgreSQL can store and the contract can't express.
var strangeTimes = []string{"infinity", "-infinity", "20000-01-01", "0044-03-15 BC"}

func TestMigrate_RefusesTimesThatNobodyCanRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	for _, column := range []string{"opens_at", "closes_at", "created_at", "updated_at"} {
		for _, at := range strangeTimes {
			if _, err := b.pool.Exec(t.Context(), `UPDATE raffles SET `+column+` = $1::text::timestamptz WHERE id = $2`, at, r.ID); err == nil {
				t.Errorf("%s took %s", column, at)
			}
		}
	}
}

func TestMigrate_MendsTimesThatNobodyCanRead(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), pgtest.URL(t), 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.MigrateTo(t.Context(), pool, 2); err != nil {
		t.Fatal(err)
	}
	for _, at := range append(strangeTimes, "2030-01-01") {
		if _, err := pool.Exec(t.Context(), `INSERT INTO raffles (title, winners, max_entries_per_member, opens_at, closes_at, state, created_at, updated_at)
			VALUES ('A', 1, 1, $1::text::timestamptz, $1::text::timestamptz, 2, now(), now())`, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	list, err := postgres.New(pool, pool, nil).List(t.Context(), 0, 10, 0)
	if err != nil || len(list) != len(strangeTimes)+1 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, r := range list {
		mended := i < len(strangeTimes)
		if r.OpensAt.IsZero() != mended || r.ClosesAt.IsZero() != mended || (r.Version == 2) != mended {
			t.Errorf("%+v", r)
		}
	}
}

// TestStore_ReadsEveryRow has rows that somebody wrote who did not keep the checks.
func TestStore_ReadsEveryRow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	if _, err := b.pool.Exec(ctx, `ALTER TABLE raffles DROP CONSTRAINT raffles_opens_at_check, DROP CONSTRAINT raffles_closes_at_check,
		DROP CONSTRAINT raffles_created_at_check, DROP CONSTRAINT raffles_updated_at_check`); err != nil {
		t.Fatal(err)
	}
	for _, at := range strangeTimes {
		strange, due := b.create(t, raffle.Raffle{MaxEntriesPerMember: 9}), b.create(t, raffle.Raffle{ClosesAt: time.Now().Add(time.Hour)})
		b.enter(t, raffle.EnterRequest{RaffleID: strange.ID, MemberID: "m", RequestID: raffle.RequestID{1}})
		for _, statement := range []string{
			`UPDATE raffles SET opens_at = $1::text::timestamptz, closes_at = $1::text::timestamptz, created_at = $1::text::timestamptz, updated_at = $1::text::timestamptz WHERE id = $2`,
			`UPDATE entries SET created_at = $1::text::timestamptz WHERE raffle_id = $2`,
		} {
			if _, err := b.pool.Exec(ctx, statement, at, strange.ID); err != nil {
				t.Fatal(err)
			}
		}
		results, err := b.EnterBatch(ctx, []raffle.EnterRequest{
			{RaffleID: strange.ID, MemberID: "m", RequestID: raffle.RequestID{1}}, {RaffleID: strange.ID, MemberID: "n"}, {RaffleID: due.ID, MemberID: "m"},
		})
		if err != nil || results[0].Err != nil || !results[0].Replayed || results[1].Err != nil || results[2].Err != nil {
			t.Errorf("%s: %+v, %v", at, results, err)
		}
		if _, err := b.pool.Exec(ctx, `UPDATE raffles SET closes_at = now() WHERE id = $1`, due.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ApplySchedule(ctx); err != nil || b.verify(t, due.ID).State != raffle.Closed {
			t.Errorf("%s: schedule: %v", at, err)
		}
		if list, err := b.List(ctx, 0, 100, 0); err != nil || len(list) < 2 {
			t.Errorf("%s: List: %v", at, err)
		}
		if _, err := b.Unpublished(ctx, 0); err != nil {
			t.Errorf("%s: Unpublished: %v", at, err)
		}
		if list, err := b.ListEntries(ctx, strange.ID, "", raffle.EntryKey{}, 10); err != nil || len(list) != 2 {
			t.Errorf("%s: ListEntries: %+v, %v", at, list, err)
		}
		if _, err := b.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: strange.ID, MemberID: "m"}); err != nil {
			t.Errorf("%s: Withdraw: %v", at, err)
		}
	}
}

// TestStore_BatchSurvivesARowThatCannotBeRead has a row with a number that its field in
// the contract can't hold.
func TestStore_BatchSurvivesARowThatCannotBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var reqs []raffle.EnterRequest
	for range 5 {
		reqs = append(reqs, raffle.EnterRequest{RaffleID: b.create(t, raffle.Raffle{}).ID, MemberID: "m"})
	}
	if _, err := b.pool.Exec(t.Context(), `ALTER TABLE raffles ALTER winners TYPE bigint`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.pool.Exec(t.Context(), `UPDATE raffles SET winners = 1::bigint << 40 WHERE id = $1`, reqs[3].RaffleID); err != nil {
		t.Fatal(err)
	}
	results, err := b.EnterBatch(t.Context(), reqs)
	if err != nil {
		t.Fatal(err)
	}
	for i, res := range results {
		if (res.Err != nil) != (i == 3) {
			t.Errorf("%d: %+v", i, res)
		}
	}
}
