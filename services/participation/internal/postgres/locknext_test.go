package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TestLockNext_NeedsTheTransactionBefore lets transactions mark what they write, and looks at
// what their connection takes for unchanged then.
func TestLockNext_NeedsTheTransactionBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const (
		write = `UPDATE raffles SET version = version + 1 WHERE id = $1`
		mark  = `SELECT set_config('rafflecast.written', 'm:' || pg_current_xact_id()::xid::text, false)`
	)
	for name, c := range map[string]struct {
		before  func(ctx context.Context, one, other *pgxpool.Conn, id int64) error
		marker  string
		version int64 // after that of the raffle
		refused bool
	}{
		"committed":          {marker: "m:", version: 1},
		"of another marker":  {marker: "n:", version: 1, refused: true},
		"of another version": {marker: "m:", version: 2, refused: true},
		"changed by others": {marker: "m:", version: 1, refused: true, before: func(ctx context.Context, _, other *pgxpool.Conn, id int64) error {
			_, err := other.Exec(ctx, `UPDATE raffles SET published_version = 0 WHERE id = $1`, id)
			return err
		}},
		"closed by then": {marker: "m:", version: 1, refused: true, before: func(ctx context.Context, one, _ *pgxpool.Conn, id int64) error {
			_, err := one.Exec(ctx, `WITH w AS (UPDATE raffles SET closes_at = now() WHERE id = $1) `+mark, id)
			return err
		}},
		"rolled back, and written by others": {marker: "m:", version: 2, refused: true, before: func(ctx context.Context, one, other *pgxpool.Conn, id int64) error {
			tx, err := one.Begin(ctx)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, write, id)
			_, err2 := tx.Exec(ctx, mark)
			err3 := tx.Rollback(ctx)
			_, err4 := other.Exec(ctx, write, id)
			return errors.Join(err, err2, err3, err4)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := b.open(t)
			one, err := b.pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer one.Release()
			other, err := b.pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer other.Release()
			tx, err := one.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, err = tx.Exec(t.Context(), write, r.ID)
			_, err2 := tx.Exec(t.Context(), mark)
			if err := errors.Join(err, err2, tx.Commit(t.Context())); err != nil {
				t.Fatal(err)
			}
			if c.before != nil {
				if err := c.before(t.Context(), one, other, r.ID); err != nil {
					t.Fatal(err)
				}
			}
			_, err = one.Exec(t.Context(), `SELECT lock_next($1, $2, $3)`, r.ID, r.Version+1+c.version, c.marker)
			pg, failed := errors.AsType[*pgconn.PgError](err)
			if failed != c.refused || failed && pg.Code != "RC002" || err != nil && !failed {
				t.Errorf("%v", err)
			}
		})
	}
}
