package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
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

func TestRetry_RepeatsOnlyWhatIsSafeAndMayHelp(t *testing.T) {
	t.Parallel()
	code := func(c string) error { return &pgconn.PgError{Code: c} }
	defect := errors.New("defect")
	for _, c := range []struct {
		name         string
		err          error
		beforeCommit bool
		attempts     int
		unavailable  bool
	}{
		{"serialization failure", code("40001"), false, postgres.MaxAttempts, true},
		{"deadlock", code("40P01"), false, postgres.MaxAttempts, true},
		{"lost connection at the commit", io.ErrUnexpectedEOF, false, 1, true},
		{"lost connection before", io.ErrUnexpectedEOF, true, postgres.MaxAttempts, true},
		{"shutdown at the commit", code("57P01"), false, 1, true},
		{"shutdown before", code("57P01"), true, postgres.MaxAttempts, true},
		{"standby", code("25006"), true, postgres.MaxAttempts, true},
		{"error of a statement at the commit", &pgconn.PgError{Code: "53100", SeverityUnlocalized: "ERROR"}, false, postgres.MaxAttempts, true},
		{"wait for a lock", code("55P03"), true, 1, true},
		{"refused login", code("28P01"), true, 1, true},
		{"no such database", code("3D000"), true, 1, true},
		{"outdated statement", &pgconn.PgError{Code: "0A000", Routine: "RevalidateCachedQuery"}, true, postgres.MaxAttempts, true},
		{"unsupported statement", code("0A000"), true, 1, false},
		{"lost prepared statement", code("26000"), true, postgres.MaxAttempts, true},
		{"read only server", postgres.ErrReadOnly, true, postgres.MaxAttempts, true},
		{"constraint", code("23505"), true, 1, false},
		{"domain error", &raffle.NotFoundError{RaffleID: 1}, true, 1, false},
		{"defect", defect, false, 1, false},
	} {
		attempts := 0
		err := postgres.Retry(t.Context(), func() error {
			if attempts++; c.beforeCommit {
				return postgres.Unwritten(c.err)
			}
			return c.err
		})
		if attempts != c.attempts || errors.Is(err, raffle.ErrUnavailable) != c.unavailable || !errors.Is(err, c.err) {
			t.Errorf("%s: %d attempts, %v", c.name, attempts, err)
		}
	}
	attempts := 0
	err := postgres.Retry(t.Context(), func() error {
		if attempts++; attempts < 3 {
			return postgres.Unwritten(io.EOF)
		}
		return nil
	})
	if err != nil || attempts != 3 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
}

// Connecting has a time limit of its own, which is no deadline of the caller's.
func TestRetry_ATimeoutWhileConnectingIsNoDeadline(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cfg, err := pgconn.ParseConfig("postgres://user@" + silent.Addr().String() + "/database?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnectTimeout = 10 * time.Millisecond
	_, connecting := pgconn.ConnectConfig(t.Context(), cfg)
	if !errors.Is(connecting, context.DeadlineExceeded) {
		t.Fatalf("connecting: %v", connecting)
	}
	for name, c := range map[string]struct {
		err         error
		unavailable bool
	}{"connecting": {connecting, true}, "a statement": {context.DeadlineExceeded, false}} {
		err := postgres.Retry(t.Context(), func() error { return postgres.Unwritten(c.err) })
		if errors.Is(err, raffle.ErrUnavailable) != c.unavailable || !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRetry_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	gone := errors.New("the caller is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	attempts := 0
	err := postgres.Retry(ctx, func() error {
		attempts++
		cancel(gone)
		return postgres.Unwritten(io.EOF)
	})
	if !errors.Is(err, gone) && !errors.Is(err, raffle.ErrUnavailable) || attempts == postgres.MaxAttempts {
		t.Errorf("%d attempts, %v", attempts, err)
	}
}

func TestStore_RetriesSerializationFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	// With serializable transactions, PostgreSQL refuses one of two writers with 40001.
	cfg := b.pool.Config().Copy()
	var refused refusals
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
	cfg.ConnConfig.Tracer = &refused
	strict, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer strict.Close()
	store := postgres.New(strict, strict, b)
	// If one of the writers was done before another is connected, none would be refused.
	(&testBundle{pool: strict}).connections(t)
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
	if got := b.verify(t, r.ID); got.EntryCount != 30 {
		t.Errorf("%d entries of 30", got.EntryCount)
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

// TestStore_RepeatsOutdatedStatements changes a column's type between the calls, so that
// the statements which connections have prepared return another type than before.
func TestStore_RepeatsOutdatedStatements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m"})
	calls := b.calls(t.Context(), r.ID)
	for i := range calls {
		c := calls[i]
		b.prepareEverywhere(t, r.ID)
		if _, err := b.pool.Exec(t.Context(), fmt.Sprintf(`ALTER TABLE raffles ALTER title TYPE varchar(%d);
			ALTER TABLE entries ALTER request_id TYPE uuid, ALTER member_id TYPE varchar(%d) COLLATE "C"`, 300+i, 100+i), pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// prepareEverywhere executes the statements on every connection of the pool.
func (b *testBundle) prepareEverywhere(t *testing.T, id int64) {
	t.Helper()
	var running sync.WaitGroup
	for range 16 {
		running.Go(func() {
			_, _ = b.Get(t.Context(), id)
			_, _ = b.List(t.Context(), 0, 1, 0)
			_, _ = b.ListEntries(t.Context(), id, "", raffle.EntryKey{}, 1)
			_, _ = b.Unpublished(t.Context(), 0)
			_, _ = b.EnterBatch(t.Context(), []raffle.EnterRequest{{RaffleID: id, MemberID: "m", RequestID: raffle.RequestID{1}}})
			_, _, _ = b.ApplySchedule(t.Context())
		})
	}
	running.Wait()
}

func TestStore_IsUnavailableIfItMayNotLogIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	name := fmt.Sprintf("closed_%x", rand.Uint64())
	for _, statement := range []string{
		"CREATE ROLE " + name + " NOLOGIN", "CREATE DATABASE " + name + " ALLOW_CONNECTIONS false",
	} {
		if _, err := b.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, what := range []string{"DATABASE ", "ROLE "} {
			if _, err := b.pool.Exec(context.Background(), "DROP "+what+name); err != nil {
				t.Error(err)
			}
		}
	})
	for what, change := range map[string]func(*pgx.ConnConfig){
		"no such role":          func(c *pgx.ConnConfig) { c.User = name + "_absent" },
		"role without login":    func(c *pgx.ConnConfig) { c.User = name },
		"no such database":      func(c *pgx.ConnConfig) { c.Database = name + "_absent" },
		"database is closed":    func(c *pgx.ConnConfig) { c.Database = name },
		"a parameter it denies": func(c *pgx.ConnConfig) { c.RuntimeParams["nonsense"] = "1" },
	} {
		cfg := b.pool.Config().Copy()
		change(cfg.ConnConfig)
		pool, err := postgres.NewPool(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		refused := &testBundle{pool: pool}
		refused.Store = postgres.New(pool, pool, refused)
		for _, c := range append(refused.calls(t.Context(), 1),
			call{"Checkpoint", func() error {
				_, err := refused.Checkpoint(t.Context(), map[int64]raffle.Published{1: {Version: 1}})
				return err
			}},
			call{"Check", func() error { return refused.Check(t.Context()) }},
			call{"Probe", func() error { return refused.Probe(t.Context()) }},
		) {
			if err := c.call(); !errors.Is(err, raffle.ErrUnavailable) {
				t.Errorf("%s: %s: %v", what, c.name, err)
			}
		}
	}
}
