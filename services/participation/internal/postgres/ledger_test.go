package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestWithdrawnEntriesCountNoMoreAndAreRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	first := raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{1}}
	b.enter(t, first)
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{2}})
	back := raffle.WithdrawRequest{RaffleID: r.ID, MemberID: "m", Ordinal: 1, RequestID: raffle.RequestID{3}}
	res, err := b.Withdraw(t.Context(), back)
	if err != nil || res.Entry.Ordinal != 1 || res.MemberEntries != 1 || res.Repeat || res.Odds.Entries != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	again, err := b.Withdraw(t.Context(), back)
	if err != nil || !again.Repeat || again.Entry.Ordinal != 1 || again.Odds.Version != res.Odds.Version {
		t.Errorf("repeat: %+v, %v", again, err)
	}
	// A repeat of Enter that was long under way does not enter again.
	if late := b.enter(t, first); !late.Repeat || late.Entry.Ordinal != 1 {
		t.Errorf("late repeat: %+v", late)
	}
	// A new entry does, with an ordinal that was not given before.
	if anew := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{4}}); anew.Entry.Ordinal != 3 || anew.MemberEntries != 2 {
		t.Errorf("new entry: %+v", anew)
	}
	if _, err := b.Withdraw(t.Context(), raffle.WithdrawRequest{RaffleID: r.ID, MemberID: "stranger"}); !errors.As(err, new(*raffle.EntryNotFoundError)) {
		t.Errorf("stranger: %v", err)
	}
	if _, err := b.Withdraw(t.Context(), raffle.WithdrawRequest{RaffleID: 99, MemberID: "m"}); !isNotFound(err) {
		t.Errorf("unknown raffle: %v", err)
	}
	b.verify(t, r.ID)
}

func TestEntriesInPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, other := b.create(t, raffle.Raffle{MaxEntriesPerMember: 3}), b.create(t, raffle.Raffle{})
	for _, m := range []string{"b", "a", "Z", "a", "b", "a"} {
		b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: m})
	}
	b.enter(t, raffle.EnterRequest{RaffleID: other.ID, MemberID: "a"})
	if _, err := b.Withdraw(t.Context(), raffle.WithdrawRequest{RaffleID: r.ID, MemberID: "a", Ordinal: 2}); err != nil {
		t.Fatal(err)
	}
	pages := func(member string) (got string) {
		t.Helper()
		var after raffle.EntryKey
		for {
			page, err := b.Entries(t.Context(), r.ID, member, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got += fmt.Sprintf("%s%d ", e.MemberID, e.Ordinal)
				after = raffle.EntryKey{MemberID: e.MemberID, Ordinal: e.Ordinal}
			}
			if len(page) < 2 {
				return got
			}
		}
	}
	if got := pages(""); got != "Z1 a1 a3 b1 b2 " {
		t.Errorf("all: %s", got)
	}
	if got := pages("a"); got != "a1 a3 " {
		t.Errorf("of a: %s", got)
	}
	if got := pages("nobody"); got != "" {
		t.Errorf("of nobody: %s", got)
	}
	if _, err := b.Entries(t.Context(), 99, "", raffle.EntryKey{}, 2); !isNotFound(err) {
		t.Errorf("unknown raffle: %v", err)
	}
}

func TestUpdateAndCancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	closes := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	changed, err := b.Update(t.Context(), r.ID, raffle.Change{Title: new("B"), Winners: new(int32(7)), ClosesAt: &closes}, raffle.RequestID{1})
	if err != nil {
		t.Fatal(err)
	}
	got := b.verify(t, r.ID)
	if got.Title != "B" || got.Winners != 7 || !got.ClosesAt.Equal(closes) || got.Version != 2 || got.State != changed.State {
		t.Errorf("%+v", got)
	}
	if _, err := b.Update(t.Context(), r.ID, raffle.Change{OpensAt: &closes}, raffle.RequestID{}); !errors.As(err, new(*raffle.ImmutableError)) {
		t.Errorf("contradiction: %v", err)
	}
	if repeat, err := b.Update(t.Context(), r.ID, raffle.Change{Title: new("C")}, raffle.RequestID{1}); err != nil || repeat.Title != "B" {
		t.Errorf("repeat: %+v, %v", repeat, err)
	}
	if cancelled, err := b.Cancel(t.Context(), r.ID, raffle.RequestID{2}); err != nil || cancelled.State != raffle.Cancelled || cancelled.Version != 3 {
		t.Errorf("%+v, %v", cancelled, err)
	}
	if _, err := b.Update(t.Context(), r.ID, raffle.Change{Title: new("C")}, raffle.RequestID{}); !errors.As(err, new(*raffle.NotOpenError)) {
		t.Errorf("after the end: %v", err)
	}
}

func TestManyRequestsOfOneMemberInABatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 1000})
	var reqs []raffle.EnterRequest
	for i := range 1500 { // each id twice, in batches that overlap
		reqs = append(reqs, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{byte(i % 750), byte(i % 750 / 256), 1}})
	}
	repeats := 0
	for _, batch := range [][]raffle.EnterRequest{reqs[:500], reqs[250:1000], reqs} {
		results, err := b.EnterBatch(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, res := range results {
			if res.Err != nil || res.Entry.RequestID != batch[i].RequestID {
				t.Fatalf("%+v", res)
			}
			if res.Repeat {
				repeats++
			}
		}
	}
	if got := b.verify(t, r.ID); got.Entries != 750 || repeats != 500+750+1500-750 {
		t.Errorf("%d entries, %d repeats", got.Entries, repeats)
	}
}

func TestARefusedEntryClosesARaffleWhoseTimeHasCome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{ClosesAt: time.Now().Add(time.Hour)})
	if _, err := b.pool.Exec(t.Context(), `UPDATE raffles SET closes_at = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	if res := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "late"}); !errors.As(res.Err, new(*raffle.NotOpenError)) {
		t.Errorf("%+v", res)
	}
	if got := b.verify(t, r.ID); got.State != raffle.Closed || got.Version != 2 || b.told[len(b.told)-1].State != raffle.Closed {
		t.Errorf("%+v, told %+v", got, b.told)
	}
}

func TestALateRepeatOfARaceIsOneEntry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 100})
	var racing sync.WaitGroup
	for range 16 {
		racing.Go(func() {
			for i := range 20 {
				req := raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{byte(i + 1)}}
				if _, err := b.EnterBatch(context.WithoutCancel(t.Context()), []raffle.EnterRequest{req, req}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	racing.Wait()
	if got := b.verify(t, r.ID); got.Entries != 20 || got.Members != 1 {
		t.Errorf("%d entries of 20 requests", got.Entries)
	}
}

// TestLookupsStayIndexLookups asks for the plan that is taken by statements that
// were prepared, and by a table that was analyzed, while it was empty.
func TestLookupsStayIndexLookups(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	conn, err := b.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, relation := range []string{"entries", "raffles"} {
		exec("ALTER TABLE " + relation + " SET (autovacuum_enabled = off)") // nobody analyzes it later
		exec("ANALYZE " + relation)
	}
	statements := map[string]string{
		"standings": postgres.FindStandings, "page": postgres.ListEntries, "member": postgres.ListMemberEntries,
	}
	args := map[string]string{
		"standings": fmt.Sprintf("(ARRAY[%d::bigint], ARRAY['m5'], ARRAY[]::uuid[])", r.ID),
		"page":      fmt.Sprintf("(%d, 'm5', 1, 10)", r.ID), "member": fmt.Sprintf("(%d, 'm5', 0, 10)", r.ID),
	}
	exec("SET plan_cache_mode = force_generic_plan")
	exec("BEGIN")
	exec(postgres.Settings)
	for name, sql := range statements {
		exec("PREPARE " + name + " AS " + sql)
		exec("EXECUTE " + name + args[name])
	}
	exec("COMMIT")
	exec(`INSERT INTO entries (raffle_id, member_id, ordinal, created_at)
		SELECT $1, 'm' || i, 1, now() FROM generate_series(1, 50000) i`, r.ID)
	for name := range statements {
		rows, err := conn.Query(t.Context(), "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE "+name+args[name])
		if err != nil {
			t.Fatal(err)
		}
		var plan strings.Builder
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan.WriteString(line + "\n")
		}
		if !strings.Contains(plan.String(), "entries_pkey") || strings.Contains(plan.String(), "Seq Scan") || strings.Contains(plan.String(), "Rows Removed by Filter") {
			t.Errorf("%s is no index lookup:\n%s", name, plan.String())
		}
	}
}

func TestTransactionsThatCannotBeSerializedAreRepeated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	// A database that is stricter than ours refuses one of two writers with 40001.
	cfg := b.pool.Config().Copy()
	var refused refusals
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
	cfg.ConnConfig.Tracer = &refused
	strict, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer strict.Close()
	store := postgres.New(strict, strict, func(context.Context, ...raffle.Odds) {})
	var running sync.WaitGroup
	for w := range 3 {
		running.Go(func() {
			for i := range 10 {
				results, err := store.EnterBatch(context.WithoutCancel(t.Context()), []raffle.EnterRequest{{RaffleID: r.ID, MemberID: fmt.Sprint("m", w, "-", i)}})
				if err != nil || results[0].Err != nil {
					t.Errorf("%+v, %v", results, err)
				}
			}
		})
	}
	running.Wait()
	if got := b.verify(t, r.ID); got.Entries != 30 {
		t.Errorf("%d entries of 30", got.Entries)
	}
	if refused.Load() == 0 {
		t.Error("no transaction was refused, so this proved nothing")
	}
}

// refusals counts the statements that failed with 40001.
type refusals struct{ atomic.Int64 }

func (*refusals) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (*refusals) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (*refusals) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (*refusals) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (r *refusals) TraceBatchEnd(_ context.Context, _ *pgx.Conn, end pgx.TraceBatchEndData) {
	if pg, ok := errors.AsType[*pgconn.PgError](end.Err); ok && pg.Code == "40001" {
		r.Add(1)
	}
}
