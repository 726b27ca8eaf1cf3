package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestPipeline_BatchFollowsWithoutWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.open(t)
	held := b.hold(t, r.ID)
	first := b.begin(t, members(r.ID, "a", "b")...)
	next := b.follow(t, members(r.ID, "c", "d", "d2")...)
	if _, err := b.EnterNext(t.Context(), members(r.ID, "e")); !errors.Is(err, raffle.ErrNotNext) {
		t.Errorf("a third one: %v", err)
	}
	held.free(t, "")
	one, two := <-first, <-next
	if one.err != nil || two.err != nil {
		t.Fatal(one.err, two.err)
	}
	stored := b.verify(t, r.ID)
	if stored.EntryCount != 6 || stored.Version != r.Version+3 {
		t.Errorf("stored: %+v", stored)
	}
	for i, res := range append(one.results, two.results...) {
		want := stored
		if i < 2 {
			want = *one.results[0].Raffle
		}
		if res.Err != nil || !reflect.DeepEqual(*res.Raffle, want) || !res.Entry.CreatedAt.Equal(want.UpdatedAt) {
			t.Errorf("%d: %+v of %+v", i, res, *res.Raffle)
		}
	}
	if before := one.results[0].Raffle; before.EntryCount != 3 || before.Version != stored.Version-1 || before.UpdatedAt.After(stored.UpdatedAt) {
		t.Errorf("the first is answered with %+v", before)
	}
	if enqueued := b.enqueued(); !reflect.DeepEqual(enqueued[len(enqueued)-1], stored) && !reflect.DeepEqual(enqueued[len(enqueued)-2], stored) {
		t.Errorf("enqueued: %+v", enqueued)
	}
	if b.Pipelined(r.ID, 0) != 0 {
		t.Error("the pipeline is kept")
	}
	// What it has written is trusted by the next one.
	held = b.hold(t, r.ID)
	first, next = b.begin(t, members(r.ID, "g")...), b.follow(t, members(r.ID, "h")...)
	held.free(t, "")
	if one, two := <-first, <-next; one.err != nil || two.err != nil {
		t.Errorf("%v, %v", one.err, two.err)
	}
	if _, err := b.EnterNext(t.Context(), members(r.ID, "f")); !errors.Is(err, raffle.ErrNotNext) {
		t.Errorf("behind nothing: %v", err)
	}
}

// TestPipeline_NothingFollowsAChange lets the first transaction of a pipeline wait for a
// stranger who changes the raffle, so that neither finds it as it was.
func TestPipeline_NothingFollowsAChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"title":              `UPDATE raffles SET title = 'another', version = version + 1 WHERE id = $1`,
		"as the first would": `UPDATE raffles SET entries = entries + 1, members = members + 1, version = version + 1 WHERE id = $1`,
		"no version":         `UPDATE raffles SET max_entries_per_member = 1 WHERE id = $1`,
		"mark":               `UPDATE raffles SET published_version = 1 WHERE id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := b.open(t)
			held := b.hold(t, r.ID)
			first := b.begin(t, members(r.ID, "a")...)
			next := b.follow(t, members(r.ID, "b")...)
			held.free(t, change, r.ID)
			one, two := <-first, <-next
			if one.err != nil || one.results[0].Err != nil {
				t.Errorf("the first: %+v", one)
			}
			if !errors.Is(two.err, raffle.ErrNotNext) {
				t.Errorf("the next: %+v", two)
			}
			var entries int
			if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM entries WHERE raffle_id = $1`, r.ID).Scan(&entries); err != nil || entries != 2 {
				t.Errorf("%d entries are stored (%v)", entries, err)
			}
		})
	}
}

// A transaction that follows one that has failed stores nothing, even if the raffle is again
// as it would have been.
func TestPipeline_NothingFollowsAFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.open(t)
	held := b.hold(t, r.ID)
	first := b.begin(t, members(r.ID, "before")...) // who has an entry, which is not read
	next := b.follow(t, members(r.ID, "b")...)
	held.free(t, "")
	one, two := <-first, <-next
	if one.err != nil || one.results[0].Err != nil || one.results[0].MemberEntries != 2 {
		t.Errorf("the first, decided again: %+v", one)
	}
	if !errors.Is(two.err, raffle.ErrNotNext) {
		t.Errorf("the next: %+v", two)
	}
	if stored := b.verify(t, r.ID); stored.EntryCount != 2 {
		t.Errorf("stored %+v", stored)
	}
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "between"}) // what was trusted is forgotten
	// The member of the next is the one whom it does not expect.
	held = b.hold(t, r.ID)
	first, next = b.begin(t, members(r.ID, "c")...), b.follow(t, members(r.ID, "b", "before")...)
	held.free(t, "")
	if one, two = <-first, <-next; one.err != nil || !errors.Is(two.err, raffle.ErrNotNext) {
		t.Errorf("the first: %+v; the next: %+v", one, two)
	}
	if b.ExpectsNewcomers(r.ID) {
		t.Error("all are taken for newcomers still")
	}
	if stored := b.verify(t, r.ID); stored.EntryCount != 4 {
		t.Errorf("stored %+v", stored)
	}
}

// What can't be decided on what the batch before leaves is not sent.
func TestPipeline_RefusedBatchesDoNotFollow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.open(t)
	held := b.hold(t, r.ID)
	first := b.begin(t, members(r.ID, "a")...)
	for name, reqs := range map[string][]raffle.EnterRequest{
		"above the limit": {{RaffleID: r.ID, MemberID: "c"}, {RaffleID: r.ID, MemberID: "c"}, {RaffleID: r.ID, MemberID: "c"}},
		"two raffles":     {{RaffleID: r.ID, MemberID: "c"}, {RaffleID: r.ID + 1, MemberID: "c"}},
		"another raffle":  {{RaffleID: r.ID + 1, MemberID: "c"}},
	} {
		if _, err := b.EnterNext(t.Context(), reqs); !errors.Is(err, raffle.ErrNotNext) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// They leave the pipeline as it was.
	next := b.follow(t, members(r.ID, "b")...)
	held.free(t, "")
	if one, two := <-first, <-next; one.err != nil || two.err != nil {
		t.Errorf("%+v, %+v", one, two)
	}
	if stored := b.verify(t, r.ID); stored.EntryCount != 3 {
		t.Errorf("stored %+v", stored)
	}
}

// If the connection ends, nobody knows what has become of the transactions under way, and
// none of them is tried again: their callers do that, with the ids of their requests.
func TestPipeline_LostConnectionIsReported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.open(t)
	held := b.hold(t, r.ID)
	first, next := b.begin(t, members(r.ID, "a")...), b.follow(t, members(r.ID, "b")...)
	testenv.Eventually(t, "the first waits for the lock, and its connection is ended", 20*time.Second, func() bool {
		var ended int
		err := b.pool.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
			WHERE $1::integer = ANY(pg_blocking_pids(pid))`, held.Conn().PgConn().PID()).Scan(&ended)
		if err != nil {
			t.Fatal(err)
		}
		return ended == 1
	})
	for _, o := range []outcome{<-first, <-next} {
		if !errors.Is(o.err, raffle.ErrUnavailable) {
			t.Errorf("%+v", o)
		}
	}
	if b.ExpectsUnchanged(members(r.ID, "c")...) {
		t.Error("the raffle is taken for unchanged still")
	}
	held.free(t, "")
	b.enterAgain(t, r.ID)
}

// The time of each transaction is bounded by its context, and what comes behind one that
// was given up is not read for it.
func TestPipeline_TimesOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.open(t)
	held := b.hold(t, r.ID)
	first := b.begin(t, members(r.ID, "a")...)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.EnterNext(ctx, members(r.ID, "b")); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, raffle.ErrUnavailable) {
		t.Errorf("the next: %v", err)
	}
	if one := <-first; !errors.Is(one.err, raffle.ErrUnavailable) && !errors.Is(one.err, context.DeadlineExceeded) {
		t.Errorf("the first: %+v", one)
	}
	held.free(t, "")
	b.enterAgain(t, r.ID)
}

// A pipeline ends after a while, so that the raffle is free for others who wait for it.
func TestPipeline_Ends(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.open(t)
	held := b.hold(t, r.ID)
	first := b.begin(t, members(r.ID, "a")...)
	b.Pipelined(r.ID, postgres.MaxPipelined-2)
	next := b.follow(t, members(r.ID, "b")...) // the last one
	held.free(t, "")
	if one := <-first; one.err != nil {
		t.Error(one.err)
	}
	if two := <-next; two.err != nil {
		t.Error(two.err)
	}
	held = b.hold(t, r.ID)
	first = b.begin(t, members(r.ID, "c")...)
	b.Pipelined(r.ID, postgres.MaxPipelined-1)
	if _, err := b.EnterNext(t.Context(), members(r.ID, "d")); !errors.Is(err, raffle.ErrNotNext) {
		t.Errorf("one more: %v", err)
	}
	held.free(t, "")
	if one := <-first; one.err != nil {
		t.Error(one.err)
	}
	b.verify(t, r.ID)
}

// TestPipeline_OthersGetTheLock enters without a pause while others change the raffle.
func TestPipeline_OthersGetTheLock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.open(t)
	ctx, stop := context.WithCancel(t.Context())
	var entering sync.WaitGroup
	var followed atomic.Int64
	began := make(chan struct{})
	close(began)
	turn := make(chan (<-chan struct{}), 1)
	turn <- began
	for writer := range 2 { // as the batch writer does
		entering.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				last := <-turn
				done := make(chan struct{})
				turn <- done
				b.ExpectUnchanged(r.ID)
				reqs := members(r.ID, fmt.Sprint("w", writer, "-", i))
				_, err := b.EnterNext(context.WithoutCancel(ctx), reqs)
				if <-last; err == nil {
					followed.Add(1)
				} else if !errors.Is(err, raffle.ErrNotNext) {
					t.Error(err)
				} else if _, err := b.EnterBatch(context.WithoutCancel(ctx), reqs); err != nil {
					t.Error(err)
				}
				close(done)
			}
		})
	}
	for i := range 20 {
		seen := followed.Load()
		testenv.Eventually(t, "batches follow one another", 20*time.Second, func() bool { return followed.Load() >= seen+10 })
		if _, err := b.Update(t.Context(), r.ID, raffle.Change{Title: new(fmt.Sprint("title ", i))}, raffle.RequestID{}); err != nil {
			t.Errorf("update %d: %v", i, err)
		}
	}
	stop()
	entering.Wait()
	if stored := b.verify(t, r.ID); stored.Title != "title 19" {
		t.Errorf("stored %+v", stored)
	}
}

// A connection that does not prepare statements is used without pipelines.
func TestPipeline_NeedsPreparedStatements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pool := b.oneConnection(t, pgx.QueryExecModeExec)
	r := b.open(t)
	b.ExpectUnchanged(r.ID)
	if res := b.enter(t, members(r.ID, "a")[0]); res.Err != nil {
		t.Errorf("%+v", res)
	}
	var prepared int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_prepared_statements`).Scan(&prepared); err != nil || prepared != 0 {
		t.Errorf("%d statements are prepared (%v)", prepared, err)
	}
	b.verify(t, r.ID)
}
