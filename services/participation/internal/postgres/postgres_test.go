package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// bundle is a store in a schema of its own, and what it told of its commits.
type bundle struct {
	*postgres.Store
	pool *pgxpool.Pool
	mu   sync.Mutex
	told []raffle.Odds
}

// open returns a pool on a new schema with all tables.
func open(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), pgtest.URL(t), 8, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{pool: open(t)}
	b.Store = postgres.New(b.pool, b.pool, func(_ context.Context, odds ...raffle.Odds) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told = append(b.told, odds...)
	})
	return b
}

func (b *bundle) create(t *testing.T, r raffle.Raffle) raffle.Raffle {
	t.Helper()
	r.Title, r.Winners, r.MaxEntriesPerMember = "Guitar", 1, max(1, r.MaxEntriesPerMember)
	made, err := b.Create(t.Context(), r, raffle.RequestID{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// verify compares a raffle's counters with its rows.
func (b *bundle) verify(t *testing.T, id int64) raffle.Raffle {
	t.Helper()
	r, err := b.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var entries, members int64
	err = b.pool.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT member_id) FROM entries WHERE raffle_id = $1 AND withdrawn_at IS NULL`, id).Scan(&entries, &members)
	if err != nil || r.Entries != entries || r.Members != members {
		t.Errorf("raffle %d says %d entries of %d members, there are %d of %d (%v)", id, r.Entries, r.Members, entries, members, err)
	}
	return r
}

func TestCreateGetList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	first := b.create(t, raffle.Raffle{})
	later := b.create(t, raffle.Raffle{OpensAt: at, ClosesAt: at.Add(time.Hour), MaxEntriesPerMember: 3})
	if first.State != raffle.Open || later.State != raffle.Scheduled || first.Version != 1 || later.ID <= first.ID {
		t.Errorf("%+v, %+v", first, later)
	}
	got, err := b.Get(t.Context(), later.ID)
	if err != nil || !got.OpensAt.Equal(at) || !got.ClosesAt.Equal(at.Add(time.Hour)) || got.MaxEntriesPerMember != 3 || got.CreatedAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := b.Get(t.Context(), 99); !isNotFound(err) {
		t.Errorf("unknown: %v", err)
	}
	for _, c := range []struct {
		after int64
		limit int
		state raffle.State
		want  int
	}{{0, 10, 0, 2}, {first.ID, 10, 0, 1}, {0, 1, 0, 1}, {0, 10, raffle.Scheduled, 1}, {0, 10, raffle.Closed, 0}} {
		if list, err := b.List(t.Context(), c.after, c.limit, c.state); err != nil || len(list) != c.want {
			t.Errorf("%+v: %+v, %v", c, list, err)
		}
	}
	if len(b.told) != 2 {
		t.Errorf("told %+v", b.told)
	}
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*raffle.NotFoundError](err)
	return ok
}

func TestRequestIDsOfRaffleCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, other := raffle.RequestID{1}, raffle.RequestID{2}
	made, err := b.Create(t.Context(), raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 1}, id)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Create(t.Context(), raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 1}, id)
	if err != nil || again.ID != made.ID {
		t.Errorf("repeat made %+v, %v", again, err)
	}
	closed, err := b.Close(t.Context(), made.ID, other)
	if err != nil || closed.State != raffle.Closed || closed.Version != 2 {
		t.Errorf("%+v, %v", closed, err)
	}
	if repeat, err := b.Close(t.Context(), made.ID, other); err != nil || repeat.Version != 2 {
		t.Errorf("repeat: %+v, %v", repeat, err)
	}
	if _, err := b.Close(t.Context(), made.ID, id); !isReused(err) {
		t.Errorf("another call's id: %v", err)
	}
	second := b.create(t, raffle.Raffle{})
	if _, err := b.Close(t.Context(), second.ID, other); !isReused(err) {
		t.Errorf("another raffle's id: %v", err)
	}
	if _, err := b.Close(t.Context(), 99, raffle.RequestID{3}); !isNotFound(err) {
		t.Errorf("unknown raffle: %v", err)
	}
}

func isReused(err error) bool {
	_, ok := errors.AsType[*raffle.RequestReusedError](err)
	return ok
}

func TestManyBatchesAtOnceCountRight(t *testing.T) {
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
	if r := b.verify(t, one.ID); r.Entries != members {
		t.Errorf("%d entries where one each was allowed", r.Entries)
	}
	if r := b.verify(t, three.ID); r.Entries != 3*members || r.Members != members {
		t.Errorf("%d entries where three each were allowed", r.Entries)
	}
	// Every version was told with the counts of its commit, once.
	seen := map[[2]int64]bool{}
	for _, o := range b.told {
		key := [2]int64{o.ID, o.Version}
		if seen[key] {
			t.Errorf("version %v was told twice", key)
		}
		seen[key] = true
	}
}

func TestARepeatedEntryIsFoundInTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	req := raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{5}}
	first := b.enter(t, req)
	second := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m"})
	repeat := b.enter(t, req)
	if first.Repeat || second.Entry.Ordinal != 2 || !repeat.Repeat || repeat.Entry.Ordinal != 1 ||
		!repeat.Entry.CreatedAt.Equal(first.Entry.CreatedAt) || repeat.MemberEntries != 2 || repeat.Odds.Version != second.Odds.Version {
		t.Errorf("%+v\n%+v\n%+v", first, second, repeat)
	}
	b.verify(t, r.ID)
}

func (b *bundle) enter(t *testing.T, req raffle.EnterRequest) raffle.EnterResult {
	t.Helper()
	results, err := b.EnterBatch(t.Context(), []raffle.EnterRequest{req})
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func TestNoEntryAfterTheClose(t *testing.T) {
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
	if now := b.verify(t, r.ID); now.Entries != closed.Entries || now.Version != closed.Version {
		t.Errorf("closed with %d entries, now there are %d", closed.Entries, now.Entries)
	}
}

func TestTheClockOpensAndCloses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	far := time.Now().Add(time.Hour)
	opens := b.create(t, raffle.Raffle{OpensAt: far})
	closes := b.create(t, raffle.Raffle{ClosesAt: far})
	stays := b.create(t, raffle.Raffle{OpensAt: far})
	if n, err := b.Advance(t.Context()); n != 0 || err != nil {
		t.Errorf("too early: %d, %v", n, err)
	}
	// The hour passes.
	if _, err := b.pool.Exec(t.Context(), `UPDATE raffles SET opens_at = opens_at - interval '2 hours', closes_at = closes_at - interval '2 hours' WHERE id <> $1`, stays.ID); err != nil {
		t.Fatal(err)
	}
	var advanced sync.WaitGroup
	for range 4 { // instances
		advanced.Go(func() {
			if _, err := b.Advance(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	advanced.Wait()
	for id, want := range map[int64]raffle.State{opens.ID: raffle.Open, closes.ID: raffle.Closed, stays.ID: raffle.Scheduled} {
		r := b.verify(t, id)
		if r.State != want || (r.Version == 2) != (want != raffle.Scheduled) {
			t.Errorf("raffle %d: %+v", id, r)
		}
	}
}

func TestUnpublishedIsWhatNobodyMarked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{})
	lagging := func() map[int64]int64 {
		t.Helper()
		odds, err := b.Unpublished(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		got := map[int64]int64{}
		for _, o := range odds {
			got[o.ID] = o.Version
		}
		return got
	}
	mark := func(versions map[int64]int64) {
		t.Helper()
		if err := b.MarkPublished(t.Context(), versions); err != nil {
			t.Fatal(err)
		}
	}
	if got := lagging(); len(got) != 2 {
		t.Errorf("at first: %v", got)
	}
	mark(map[int64]int64{first.ID: 1, second.ID: 1})
	if got := lagging(); len(got) != 0 {
		t.Errorf("all marked: %v", got)
	}
	if odds, err := b.Unpublished(t.Context(), time.Hour); err != nil || len(odds) != 0 {
		t.Errorf("none is an hour old: %v, %v", odds, err)
	}
	b.enter(t, raffle.EnterRequest{RaffleID: first.ID, MemberID: "m"})
	if _, err := b.Close(t.Context(), second.ID, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	mark(map[int64]int64{first.ID: 1}) // late, and nothing new
	if got := lagging(); got[first.ID] != 2 || got[second.ID] != 2 {
		t.Errorf("changed: %v", got)
	}
	mark(map[int64]int64{first.ID: 2, second.ID: 2})
	var settled []int64
	rows, err := b.pool.Query(t.Context(), `SELECT id FROM raffles WHERE settled`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		settled = append(settled, id)
	}
	if len(settled) != 1 || settled[0] != second.ID || len(lagging()) != 0 {
		t.Errorf("settled %v, lagging %v", settled, lagging())
	}
}

func TestMigrateMayRunManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			pool, err := postgres.Open(t.Context(), url, 2, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer pool.Close()
			if err := postgres.Migrate(t.Context(), pool); err != nil {
				t.Error(err)
			}
			if err := postgres.New(pool, pool, nil).Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
}

func TestWhatIsWrongWithTheDatabaseIsTold(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), pgtest.URL(t), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.New(pool, pool, nil).Check(t.Context()); !errors.Is(err, postgres.ErrNotMigrated) {
		t.Errorf("empty schema: %v", err)
	}
	if _, err := postgres.Open(t.Context(), "postgres://u:secret@host:port", 2, nil); err == nil {
		t.Error("a bad URL was taken")
	}
	nobody, err := postgres.Open(t.Context(), "postgres://u:secret@127.0.0.1:1/none", 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	if err := postgres.New(nobody, nobody, nil).Check(t.Context()); !errors.Is(err, raffle.ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
}
