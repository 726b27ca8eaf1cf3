package postgres_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// TestStore_RetriesOnLostConnections ends all connections of the store before each
// call, as a restart of the database does.
func TestStore_RetriesOnLostConnections(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m"})
	other, err := pgx.ConnectConfig(t.Context(), b.pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	ctx := t.Context()
	for _, c := range b.calls(ctx, r.ID) {
		pids := b.connections(t)
		var ended int
		if err := other.QueryRow(ctx, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM unnest($1::integer[]) pid`, pids).Scan(&ended); err != nil || ended < 2 {
			t.Fatalf("ended %d connections of %d, %v", ended, len(pids), err)
		}
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if got := b.verify(t, r.ID); got.EntryCount != 1 || got.Version != 11 || got.Title != "B" {
		t.Errorf("%+v", got)
	}
}

// A caller whose time is up, and a connection that can't be made, as while DNS does not
// answer, say nothing of the connections that there are.
func TestStore_KeepsConnectionsThatWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	cfg := b.pool.Config().Copy()
	var fails atomic.Bool
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if fails.Load() {
			return nil, &net.DNSError{Err: "no such host", Name: address, IsTimeout: true}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	pool, err := postgres.NewPool(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store := postgres.New(pool, pool, b)
	acquire := func() *pgxpool.Conn {
		t.Helper()
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	title := "B"
	calls := map[string]func(context.Context) error{
		"a read": func(ctx context.Context) error {
			_, err := store.Get(ctx, r.ID)
			return err
		},
		"a change": func(ctx context.Context) error {
			_, err := store.Update(ctx, r.ID, raffle.Change{Title: &title}, raffle.RequestID{})
			return err
		},
		"a batch": func(ctx context.Context) error {
			_, err := store.EnterBatch(ctx, []raffle.EnterRequest{{RaffleID: r.ID, MemberID: "m"}})
			return err
		},
	}
	only := acquire()
	fails.Store(true)
	for name, call := range calls {
		if err := call(t.Context()); !errors.Is(err, raffle.ErrUnavailable) {
			t.Errorf("%s without a connection: %v", name, err)
		}
	}
	only.Release()
	for name, call := range calls {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s with the connection: %v", name, err)
		}
	}

	fails.Store(false)
	holder, idle := acquire(), acquire()
	defer holder.Release()
	tx, err := holder.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `SELECT 1 FROM raffles WHERE id = $1 FOR UPDATE`, r.ID); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // less than a wait for a lock takes
	defer cancel()
	if err := calls["a change"](ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a change of a locked raffle: %v", err)
	}
	kept := idle.Conn().PgConn().PID()
	idle.Release()
	again := acquire()
	defer again.Release()
	if again.Conn().PgConn().PID() != kept {
		t.Errorf("the connection %d was replaced", kept)
	}
}

// cutter ends the connection that is about to run a certain statement, once.
type cutter struct {
	refusals
	statement string
	cut       func(pid uint32)
}

func (c *cutter) TraceQueryStart(ctx context.Context, conn *pgx.Conn, start pgx.TraceQueryStartData) context.Context {
	if c.statement != "" && strings.Contains(start.SQL, c.statement) {
		c.statement = ""
		c.cut(conn.PgConn().PID())
	}
	return ctx
}

func TestStore_RetriesATransactionThatWasCutOff(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	tracer := &cutter{cut: func(pid uint32) {
		var ended bool
		if err := b.pool.QueryRow(ctx, `SELECT pg_terminate_backend($1, 5000)`, pid).Scan(&ended); err != nil || !ended {
			t.Errorf("the connection was not ended: %v", err)
		}
	}}
	cfg := b.pool.Config().Copy()
	cfg.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := postgres.New(pool, pool, b)
	for _, statement := range []string{"set_config", "FOR NO KEY UPDATE", "clock_timestamp", "UPDATE entries", "UPDATE raffles"} {
		r := b.create(t, raffle.Raffle{})
		b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m"})
		tracer.statement = statement
		res, err := store.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{1}})
		if err != nil || res.Replayed || tracer.statement != "" {
			t.Errorf("cut off before %s: %+v, %v", statement, res, err)
		}
		if got := b.verify(t, r.ID); got.EntryCount != 0 || got.Version != 3 {
			t.Errorf("cut off before %s: %+v", statement, got)
		}
	}
}

// call is one method of a store.
type call struct {
	name string
	call func() error
}

// calls are calls of all methods that touch a raffle with one entry of the member m.
func (b *testBundle) calls(ctx context.Context, id int64) []call {
	return []call{
		{"Get", func() error { _, err := b.Get(ctx, id); return err }},
		{"List", func() error { _, err := b.List(ctx, 0, 1, 0); return err }},
		{"ListEntries", func() error { _, err := b.ListEntries(ctx, id, "", raffle.EntryKey{}, 1); return err }},
		{"Unpublished", func() error { _, err := b.Unpublished(ctx, 0); return err }},
		{"EnterBatch", func() error {
			_, err := b.EnterBatch(ctx, []raffle.EnterRequest{{RaffleID: id, MemberID: "n"}})
			return err
		}},
		{"Withdraw", func() error {
			_, err := b.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: id, MemberID: "m"})
			return err
		}},
		{"Update", func() error {
			_, err := b.Update(ctx, id, raffle.Change{Title: new("B")}, raffle.RequestID{})
			return err
		}},
		{"ApplySchedule", func() error { _, _, err := b.ApplySchedule(ctx); return err }},
		{"BumpVersion", func() error {
			_, err := b.BumpVersion(ctx, id, 10, func(raffle.Raffle) bool { return true })
			return err
		}},
		{"Identity", func() error { _, err := b.Identity(ctx); return err }},
		{"Create", func() error {
			_, err := b.Create(ctx, raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 1}, raffle.RequestID{1})
			return err
		}},
	}
}

// connections returns the process ids of three connections of the pool, all idle.
func (b *testBundle) connections(t *testing.T) (pids []uint32) {
	t.Helper()
	for range 3 {
		conn, err := b.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
		pids = append(pids, conn.Conn().PgConn().PID())
	}
	return pids
}
