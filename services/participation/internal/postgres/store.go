// Package postgres keeps raffles and entries in PostgreSQL, which holds the truth
// of the system. It is the only package that imports pgx.
//
// Every change of a raffle happens under the lock of its row, within one
// transaction, and raises its version. So versions follow the order of the commits,
// and the counters equal the rows at every version. Times come from the database's
// clock, which is read after the lock was taken.
//
// Every method that commits a version enqueues it for publishing before it returns.
package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Queue takes committed versions for publishing. Enqueue is called after each commit,
// with the context of the change, and must not block.
type Queue interface {
	Enqueue(ctx context.Context, committed ...raffle.Raffle)
}

// Store reads and writes raffles and entries. Its methods are safe for concurrent
// use. They fail with the errors of package raffle that they name, with
// raffle.ErrUnavailable, or with the cause of their context; any other error is a
// defect.
type Store struct {
	pool *pgxpool.Pool
	// writePool holds the connections of the batch writer, the scheduler and the
	// outbox, so that no number of other calls can keep these waiting.
	writePool *pgxpool.Pool
	queue     Queue
}

// New returns a store on two pools of the same database. The caller closes them.
func New(pool, writePool *pgxpool.Pool, queue Queue) *Store {
	return &Store{pool: pool, writePool: writePool, queue: queue}
}

// Settings are set at the beginning of each transaction. They are local to the
// transaction, so that they do not stay on a connection that PgBouncer shares.
//
// Sequential scans are kept out of the plans: a plan that was made while a table was
// empty, and is kept, would otherwise scan the whole table for every request later.
// This distorts the costs, so compilation, which depends on costs, is off. An instance
// that freezes or loses its network between two statements must not hold the lock of a
// raffle for longer than the idle timeout.
const Settings = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),
	set_config('idle_in_transaction_session_timeout', '5s', true)`

// inTx runs f in a transaction, and repeats both if that is safe and may help.
func inTx(ctx context.Context, pool *pgxpool.Pool, f func(pgx.Tx) error) error {
	return retry(ctx, func() error {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return &unwrittenError{err}
		}
		defer func() { _ = tx.Rollback(ctx) }() // without effect after Commit
		if _, err := tx.Exec(ctx, Settings); err != nil {
			return &unwrittenError{err}
		}
		if err := f(tx); err != nil {
			return &unwrittenError{err}
		}
		return tx.Commit(ctx)
	})
}

// read runs a query, and repeats it if that may help: it writes nothing.
func read(ctx context.Context, query func() error) error {
	return retry(ctx, func() error {
		if err := query(); err != nil {
			return &unwrittenError{err}
		}
		return nil
	})
}
