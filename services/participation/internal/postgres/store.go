// Package postgres keeps raffles and entries in PostgreSQL, the truth of the
// system. It is the only package that imports pgx.
//
// Every change of a raffle happens under its row lock, within one transaction,
// and raises its version: so versions follow the order of commits, and the
// counters equal the rows at each of them. Times come from the database's
// clock, read after the lock was taken.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Store reads and writes raffles and entries. All methods are safe for
// concurrent use; an error that is none of package raffle's means a defect.
type Store struct {
	pool *pgxpool.Pool
	// entries are the connections of the flushers and the sweep, so that no number
	// of other calls keeps them waiting.
	entries *pgxpool.Pool
	// committed is told of every new version, after its commit, with the context of
	// the change. It must not block.
	committed func(context.Context, ...raffle.Odds)
}

// New returns a store on two pools of one database, which stay the caller's:
// entries and sweeps go through the second. committed is called after each commit
// with the context of the change and the odds of every raffle that it changed, from
// whichever goroutine made the change, and must not block.
func New(pool, entries *pgxpool.Pool, committed func(context.Context, ...raffle.Odds)) *Store {
	return &Store{pool: pool, entries: entries, committed: committed}
}

// attempts is how often a transaction is tried. Our own lock in id order and are
// never asked to try again (40001, 40P01) for each other's sake; other writers,
// or a distributed database, may bring that about.
const attempts = 10

// inTx runs f in a transaction, again from the start where the database says
// that the whole transaction should be repeated.
func inTx(ctx context.Context, pool *pgxpool.Pool, f func(pgx.Tx) error) error {
	return again(ctx, func() error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, Settings); err != nil {
				return err
			}
			return f(tx)
		})
	})
}

// again runs a whole transaction until it succeeds, or fails in a way that
// running it again can't help or is not safe.
func again(ctx context.Context, transaction func() error) error {
	for attempt := 1; ; attempt++ {
		err := transaction()
		if attempt == attempts || !retryable(err) {
			return classify(err)
		}
		pause := time.Duration(rand.Int64N(int64(attempt) * int64(5*time.Millisecond)))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// retryable tells of a serialization failure, a deadlock, and a connection that
// failed before anything could have been written.
func retryable(err error) bool {
	if _, ok := errors.AsType[*unwrittenError](err); ok && away(err) {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}

// unwrittenError is an error that came before a transaction wrote anything.
type unwrittenError struct{ error }

func (e *unwrittenError) Unwrap() error { return e.error }

// classify turns what comes from a store that is away into ErrUnavailable.
func classify(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case away(err):
		return fmt.Errorf("%w: %w", raffle.ErrUnavailable, err)
	}
	return err
}

func away(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		// https://www.postgresql.org/docs/current/errcodes-appendix.html
		for _, class := range []string{"08", "40", "53", "57", "58"} { // connection, rollback, resources, operator, system
			if strings.HasPrefix(pg.Code, class) {
				return true
			}
		}
		// Read only: a standby, or a primary that lost its rank. Idle for too long
		// within a transaction: we were frozen.
		return pg.Code == "25006" || pg.Code == "25P03"
	}
	_, network := errors.AsType[net.Error](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return network || connecting || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, pgconn.ErrConnClosed)
}
