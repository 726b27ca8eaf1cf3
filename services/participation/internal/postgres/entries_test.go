package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestStore_EnterBatchCountsRightWhenManyRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, three := b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{MaxEntriesPerMember: 3})
	const writers, members = 8, 20
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			// Raffles in an order that would deadlock if it were locked so.
			ids := []int64{one.ID, three.ID}
			var reqs []raffle.EnterRequest
			for m := range members {
				reqs = append(reqs, raffle.EnterRequest{RaffleID: ids[(m+w)%2], MemberID: fmt.Sprint(m)}, raffle.EnterRequest{RaffleID: ids[(m+w+1)%2], MemberID: fmt.Sprint(m)})
			}
			if _, err := b.EnterBatch(t.Context(), reqs); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if r := b.verify(t, one.ID); r.EntryCount != members {
		t.Errorf("%d entries where one each was allowed", r.EntryCount)
	}
	if r := b.verify(t, three.ID); r.EntryCount != 3*members || r.MemberCount != members {
		t.Errorf("%d entries where three each were allowed", r.EntryCount)
	}
	// Every version was enqueued once.
	seen := map[[2]int64]bool{}
	for _, committed := range b.enqueued() {
		key := [2]int64{committed.ID, committed.Version}
		if seen[key] {
			t.Errorf("version %v was enqueued twice", key)
		}
		seen[key] = true
	}
}

func TestStore_EnterBatchReplaysAStoredEntry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	req := raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{5}}
	first := b.enter(t, req)
	second := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m"})
	replayed := b.enter(t, req)
	if first.Replayed || second.Entry.Ordinal != 2 || !replayed.Replayed || replayed.Entry.Ordinal != 1 ||
		!replayed.Entry.CreatedAt.Equal(first.Entry.CreatedAt) || replayed.MemberEntries != 2 || replayed.Raffle.Version != second.Raffle.Version {
		t.Errorf("%+v\n%+v\n%+v", first, second, replayed)
	}
	b.verify(t, r.ID)
}

func TestStore_EnterBatchPlacesNothingAfterTheClose(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	var running sync.WaitGroup
	for w := range 4 {
		running.Go(func() {
			for i := range 50 {
				_, err := b.EnterBatch(t.Context(), []raffle.EnterRequest{{RaffleID: r.ID, MemberID: fmt.Sprint(w, i)}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	closed, err := b.Close(t.Context(), r.ID, raffle.RequestID{})
	if err != nil {
		t.Fatal(err)
	}
	running.Wait()
	if now := b.verify(t, r.ID); now.EntryCount != closed.EntryCount || now.Version != closed.Version {
		t.Errorf("closed with %d entries, now there are %d", closed.EntryCount, now.EntryCount)
	}
}

func TestStore_EnterBatchWithManyRequestsOfOneMember(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 1000})
	var reqs []raffle.EnterRequest
	for i := range 1500 { // each id twice, in batches that overlap
		reqs = append(reqs, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{byte(i % 750), byte(i % 750 / 256), 1}})
	}
	replayed := 0
	for _, batch := range [][]raffle.EnterRequest{reqs[:500], reqs[250:1000], reqs} {
		results, err := b.EnterBatch(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, res := range results {
			if res.Err != nil || res.Entry.RequestID != batch[i].RequestID {
				t.Fatalf("%+v", res)
			}
			if res.Replayed {
				replayed++
			}
		}
	}
	if got := b.verify(t, r.ID); got.EntryCount != 750 || replayed != 500+750+1500-750 {
		t.Errorf("%d entries, %d replayed requests", got.EntryCount, replayed)
	}
}

func TestStore_EnterBatchClosesARaffleInTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{ClosesAt: time.Now().Add(time.Hour)})
	if _, err := b.pool.Exec(t.Context(), `UPDATE raffles SET closes_at = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	if res := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "late"}); !errors.As(res.Err, new(*raffle.NotOpenError)) {
		t.Errorf("%+v", res)
	}
	if got := b.verify(t, r.ID); got.State != raffle.Closed || got.Version != 2 || !slices.Contains(b.enqueued(), got) {
		t.Errorf("%+v, enqueued %+v", got, b.enqueued())
	}
}

func TestStore_EnterBatchPlacesARequestOnceInARace(t *testing.T) {
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
	if got := b.verify(t, r.ID); got.EntryCount != 20 || got.MemberCount != 1 {
		t.Errorf("%d entries of 20 requests", got.EntryCount)
	}
}

// TestStore_EnterBatchDecidesAfterTheLock closes a raffle while a batch waits for its
// lock.
func TestStore_EnterBatchDecidesAfterTheLock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM raffles WHERE id = $1 FOR NO KEY UPDATE`, r.ID); err != nil {
		t.Fatal(err)
	}
	entered := make(chan raffle.EnterResult, 1)
	go func() {
		results, err := b.EnterBatch(t.Context(), []raffle.EnterRequest{{RaffleID: r.ID, MemberID: "m"}})
		if err != nil {
			results = []raffle.EnterResult{{Err: err}}
		}
		entered <- results[0]
	}()
	testenv.Eventually(t, "the batch waits for the lock", 10*time.Second, func() bool {
		var waiting bool
		err := b.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid)))`,
			tx.Conn().PgConn().PID()).Scan(&waiting)
		return err == nil && waiting
	})
	if _, err := tx.Exec(t.Context(), `UPDATE raffles SET closes_at = clock_timestamp() WHERE id = $1`, r.ID); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := <-entered; !errors.As(res.Err, new(*raffle.NotOpenError)) {
		t.Errorf("%+v", res)
	}
	if got := b.verify(t, r.ID); got.State != raffle.Closed || got.EntryCount != 0 {
		t.Errorf("%+v", got)
	}
}

// TestStore_LookupsUseTheIndex looks at the plans of statements that were prepared, on
// tables that were analyzed, while the tables were empty.
func TestStore_LookupsUseTheIndex(t *testing.T) {
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
		"members": postgres.SelectMemberStates, "page": postgres.SelectEntries, "member": postgres.SelectMemberEntries,
	}
	args := map[string]string{
		"members": fmt.Sprintf("(ARRAY[%d::bigint], ARRAY['m5'], ARRAY[]::uuid[])", r.ID),
		"page":    fmt.Sprintf("(%d, 'm5', 1, 10)", r.ID), "member": fmt.Sprintf("(%d, 'm5', 0, 10)", r.ID),
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
