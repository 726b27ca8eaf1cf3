package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
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
		if _, _, err := b.ApplySchedule(ctx); err != nil || b.verify(t, due.ID).State != raffle.Closed {
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

// spoilt are values of a raffle's columns that no raffle can have.
var spoilt = []struct{ column, value string }{
	{"state", "0"},
	{"state", "9"},
	{"state", "NULL"},
	{"winners", "NULL"},
	{"winners", "0"},
	{"winners", "1::bigint << 40"},
	{"max_entries_per_member", "-1"},
	{"entries", "-1"},
	{"entries", "NULL"},
	{"members", "7"}, // of no entries
	{"version", "0"},
	{"version", "1::bigint << 62"},
	{"title", "NULL"},
	{"epoch", "NULL"},
	{"epoch", "''"},
	{"epoch", "'a:b'"},
	{"visibility", "3"},
	{"rule", "NULL"},
	{"alternates", "-1"},
	{"drawing", "NULL"},
	{"draw_round", "-1"},
	{"draw_delay", "-1"},
	{"description", "NULL"},
	{"checkpoint", "NULL"},
	{"prize_names", "'{NULL}'"},
	{"prize_counts", "'{1,NULL}'"},
	{"holders", "'{-1}'"},
	{"winning_tickets", "'{NULL}'"},
	{"winning_prizes", "'{-1}'"},
	{"log_tree", "'no tree', log_origin = 'a'"},
}

// dropChecks lets the columns of raffles have any value.
const dropChecks = `
	DO $$
	DECLARE c text;
	BEGIN
		FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'raffles'::regclass AND contype = 'c' LOOP
			EXECUTE format('ALTER TABLE raffles DROP CONSTRAINT %I', c);
		END LOOP;
	END $$;
	ALTER TABLE raffles ALTER winners TYPE bigint, ALTER winners DROP NOT NULL, ALTER state DROP NOT NULL,
		ALTER entries DROP NOT NULL, ALTER title DROP NOT NULL, ALTER epoch DROP NOT NULL, ALTER rule DROP NOT NULL,
		ALTER drawing DROP NOT NULL, ALTER description DROP NOT NULL, ALTER checkpoint DROP NOT NULL`

// TestStore_AnUnreadableRaffleFailsAlone has rows that somebody wrote by hand, more and
// more of them.
func TestStore_AnUnreadableRaffleFailsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	var reported atomic.Int64
	b.OnUnreadable = func(*raffle.UnreadableError) { reported.Add(1) }
	if _, err := b.pool.Exec(ctx, dropChecks); err != nil {
		t.Fatal(err)
	}
	var good []int64
	for _, s := range spoilt {
		first, bad, due := b.create(t, raffle.Raffle{}).ID, b.create(t, raffle.Raffle{}).ID, b.create(t, raffle.Raffle{ClosesAt: time.Now().Add(time.Hour)}).ID
		good = append(good, first, due)
		for _, statement := range []string{
			fmt.Sprintf(`UPDATE raffles SET %s = %s, closes_at = now() WHERE id = %d`, s.column, s.value, bad),
			fmt.Sprintf(`UPDATE raffles SET updated_at = now() - interval '1 minute' WHERE id IN (%d, %d)`, first, bad),
		} {
			if _, err := b.pool.Exec(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
		wantUnreadable := func(call string, err error) {
			t.Helper()
			if u, ok := errors.AsType[*raffle.UnreadableError](err); !ok || u.RaffleID != bad || u.Column != s.column {
				t.Errorf("%s of a raffle with %s = %s: %v", call, s.column, s.value, err)
			}
		}
		want := func(call string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s beside a raffle with %s = %s: %v", call, s.column, s.value, err)
			}
		}
		before := reported.Load()
		results, err := b.EnterBatch(ctx, []raffle.EnterRequest{{RaffleID: bad, MemberID: "m"}, {RaffleID: first, MemberID: "m"}, {RaffleID: due, MemberID: "m"}})
		want("EnterBatch", err)
		wantUnreadable("EnterBatch", results[0].Err)
		want("EnterBatch", errors.Join(results[1].Err, results[2].Err))
		if got := reported.Load() - before; got != 1 {
			t.Errorf("one batch has read the row %d times", got) // once more for each part that it was split into
		}
		if _, err := b.pool.Exec(ctx, `UPDATE raffles SET closes_at = now() WHERE id = $1`, due); err != nil {
			t.Fatal(err)
		}
		_, _, err = b.ApplySchedule(ctx)
		want("ApplySchedule", err)
		if state := b.verify(t, due).State; state != raffle.Closed {
			t.Errorf("beside a raffle with %s = %s one that is due is %s", s.column, s.value, state)
		}
		unpublished, err := b.Unpublished(ctx, 0)
		want("Unpublished", err)
		if !slices.ContainsFunc(unpublished, func(r raffle.Raffle) bool { return r.ID == first }) {
			t.Errorf("beside a raffle with %s = %s: unpublished are %v", s.column, s.value, unpublished)
		}
		_, err = b.Get(ctx, bad)
		wantUnreadable("Get", err)
		_, err = b.Close(ctx, bad, raffle.RequestID{})
		wantUnreadable("Close", err)
		_, err = b.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: bad, MemberID: "m"})
		wantUnreadable("Withdraw", err)
		_, err = b.BumpVersion(ctx, bad, 5, func(raffle.Raffle) bool { return true })
		wantUnreadable("BumpVersion", err)
	}
	for _, limit := range []int{1, 2, 100} {
		var listed []int64
		for after := int64(0); ; {
			page, err := b.List(ctx, after, limit, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				listed, after = append(listed, r.ID), r.ID
			}
			if len(page) < limit {
				break
			}
		}
		if !slices.Equal(listed, good) {
			t.Errorf("listed in pages of %d: %v, want %v", limit, listed, good)
		}
	}
}
