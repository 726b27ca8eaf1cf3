package postgres_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// failover is a store whose connections lead to the first of two servers until the
// failover, and those that are made after it to the second one. The servers are schemas.
type failover struct {
	*testBundle
	writePool *pgxpool.Pool
	second    *testBundle
	done      atomic.Bool
}

// setupFailover returns a store on pools that watch their connections or, as behind
// PgBouncer, can't.
func setupFailover(t *testing.T, watch bool) *failover {
	t.Helper()
	f := &failover{second: setup(t)}
	first := open(t)
	pool := func() *pgxpool.Pool {
		cfg, err := pgxpool.ParseConfig(pgtest.URL(t)) // of neither
		if err != nil {
			t.Fatal(err)
		}
		cfg.MaxConns = 4
		cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			server := first
			if f.done.Load() {
				server = f.second.pool
			}
			c.RuntimeParams["search_path"] = server.Config().ConnConfig.RuntimeParams["search_path"]
			return nil
		}
		newPool := postgres.NewPool
		if !watch {
			newPool = pgxpool.NewWithConfig
		}
		p, err := newPool(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		return p
	}
	f.testBundle, f.writePool = &testBundle{pool: pool()}, pool()
	f.Store = postgres.New(f.pool, f.writePool, f)
	return f
}

// demote makes the first server read only, and lets new connections lead to the second.
func (f *failover) demote(t *testing.T) {
	t.Helper()
	for _, pool := range []*pgxpool.Pool{f.pool, f.writePool} {
		var conns []*pgxpool.Conn
		for range 4 {
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
			if _, err := conn.Exec(t.Context(), `SET default_transaction_read_only = on`); err != nil {
				t.Fatal(err)
			}
		}
		for _, conn := range conns {
			conn.Release()
		}
	}
	f.done.Store(true)
}

func TestStore_LeavesADemotedServer(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, *failover, int64) error{
		"Get": func(ctx context.Context, f *failover, id int64) error {
			r, err := f.Get(ctx, id)
			if err == nil && r.EntryCount != 2 {
				err = errors.New("the odds of the old server")
			}
			return err
		},
		"List": func(ctx context.Context, f *failover, _ int64) error {
			l, err := f.List(ctx, 0, 10, 0)
			if err == nil && l[0].EntryCount != 2 {
				err = errors.New("the odds of the old server")
			}
			return err
		},
		"ListEntries": func(ctx context.Context, f *failover, id int64) error {
			l, err := f.ListEntries(ctx, id, "", raffle.EntryKey{}, 10)
			if err == nil && len(l) != 2 {
				err = errors.New("the entries of the old server")
			}
			return err
		},
		"Create": func(ctx context.Context, f *failover, _ int64) error {
			_, err := f.Create(ctx, raffle.Raffle{Title: "B", Winners: 1, MaxEntriesPerMember: 1}, raffle.RequestID{})
			return err
		},
		"Update": func(ctx context.Context, f *failover, id int64) error {
			_, err := f.Update(ctx, id, raffle.Change{Title: new("B")}, raffle.RequestID{})
			return err
		},
		"Close": func(ctx context.Context, f *failover, id int64) error {
			_, err := f.Close(ctx, id, raffle.RequestID{})
			return err
		},
		"Withdraw": func(ctx context.Context, f *failover, id int64) error {
			_, err := f.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: id, MemberID: "x"})
			return err
		},
		"EnterBatch": func(ctx context.Context, f *failover, id int64) error {
			_, err := f.EnterBatch(ctx, []raffle.EnterRequest{{RaffleID: id, MemberID: "new"}})
			return err
		},
		"ApplySchedule": func(ctx context.Context, f *failover, _ int64) error {
			n, _, err := f.ApplySchedule(ctx)
			if err == nil && n != 1 {
				err = errors.New("the due raffle was not closed")
			}
			return err
		},
		"Checkpoint": func(ctx context.Context, f *failover, id int64) error {
			_, err := f.Checkpoint(ctx, map[int64]raffle.Published{id: {Version: 1}})
			return err
		},
		"BumpVersion": func(ctx context.Context, f *failover, id int64) error {
			_, err := f.BumpVersion(ctx, id, 10, func(raffle.Raffle) bool { return true })
			return err
		},
	} {
		for _, probed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := setupFailover(t, !probed)
				r := f.create(t, raffle.Raffle{})
				f.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "x"})
				onSecond := f.second.create(t, raffle.Raffle{})
				for _, m := range []string{"x", "y"} {
					f.second.enter(t, raffle.EnterRequest{RaffleID: onSecond.ID, MemberID: m})
				}
				due := f.second.create(t, raffle.Raffle{ClosesAt: time.Now().Add(time.Hour)})
				if _, err := f.second.pool.Exec(t.Context(), `UPDATE raffles SET closes_at = now() WHERE id = $1`, due.ID); err != nil {
					t.Fatal(err)
				}
				f.demote(t)
				if probed {
					if err := f.Probe(t.Context()); !errors.Is(err, raffle.ErrUnavailable) && err != nil {
						t.Errorf("probe: %v", err)
					}
				}
				err := call(t.Context(), f, r.ID)
				if name == "Checkpoint" && errors.Is(err, raffle.ErrUnavailable) { // it is repeated twice a second
					err = call(t.Context(), f, r.ID)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestPool_RefusesAServerThatIsReadOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cfg := b.pool.Config().Copy()
	cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	pool, err := postgres.NewPool(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := postgres.New(pool, pool, b)
	if _, err := store.List(t.Context(), 0, 1, 0); !errors.Is(err, raffle.ErrUnavailable) {
		t.Errorf("List: %v", err)
	}
	if err := store.Probe(t.Context()); !errors.Is(err, raffle.ErrUnavailable) {
		t.Errorf("Probe: %v", err)
	}
}
