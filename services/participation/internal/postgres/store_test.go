package postgres_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// testBundle is a store in a schema of its own, which is also its queue.
type testBundle struct {
	*postgres.Store
	pool *pgxpool.Pool

	mu        sync.Mutex
	committed []raffle.Raffle
}

// Enqueue implements postgres.Queue.
func (b *testBundle) Enqueue(_ context.Context, committed ...raffle.Raffle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.committed = append(b.committed, committed...)
}

// enqueued returns what was enqueued, in that order.
func (b *testBundle) enqueued() []raffle.Raffle {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.committed)
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

func setup(t *testing.T) *testBundle {
	t.Helper()
	b := &testBundle{pool: open(t)}
	b.Store = postgres.New(b.pool, b.pool, b)
	return b
}

func (b *testBundle) create(t *testing.T, r raffle.Raffle) raffle.Raffle {
	t.Helper()
	r.Title, r.Winners, r.MaxEntriesPerMember = "Guitar", 1, max(1, r.MaxEntriesPerMember)
	made, err := b.Create(t.Context(), r, raffle.RequestID{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// verify compares a raffle's counters with its rows.
func (b *testBundle) verify(t *testing.T, id int64) raffle.Raffle {
	t.Helper()
	r, err := b.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var entries, members int64
	err = b.pool.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT member_id) FROM entries WHERE raffle_id = $1 AND withdrawn_at IS NULL`, id).Scan(&entries, &members)
	if err != nil || r.EntryCount != entries || r.MemberCount != members {
		t.Errorf("raffle %d says %d entries of %d members, there are %d of %d (%v)", id, r.EntryCount, r.MemberCount, entries, members, err)
	}
	return r
}

func (b *testBundle) enter(t *testing.T, req raffle.EnterRequest) raffle.EnterResult {
	t.Helper()
	results, err := b.EnterBatch(t.Context(), []raffle.EnterRequest{req})
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func TestMigrate_MayRunManyTimesAtOnce(t *testing.T) {
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

func TestStore_CheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), pgtest.URL(t), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.New(pool, pool, nil).Check(t.Context()); !errors.Is(err, postgres.ErrNotMigrated) {
		t.Errorf("empty schema: %v", err)
	}
	if err := postgres.MigrateTo(t.Context(), pool, 2); err != nil {
		t.Fatal(err)
	}
	if err := postgres.New(pool, pool, nil).Check(t.Context()); !errors.Is(err, postgres.ErrNotMigrated) {
		t.Errorf("schema of an earlier version: %v", err)
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
