// Package postgres keeps raffles and entries in PostgreSQL, which holds the truth
// of the system. It is the only package that imports pgx.
//
// Every change of a raffle happens under the lock of its row, within one
// transaction, and raises its version. So versions follow the order of the commits,
// and the counters equal the rows at every version. Times come from the database's
// clock, which is read after the lock was taken, or, if the raffle is as this instance
// left it, when the transaction began.
//
// Every method that commits a version enqueues it for publishing before it returns.
package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

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
// raffle.ErrUnavailable, with *raffle.UnreadableError, or with the cause of their
// context; any other error is a defect. Methods that read several raffles leave out those
// that can't be read.
type Store struct {
	pool *pgxpool.Pool
	// writePool holds the connections of the batch writer, the scheduler and the
	// outbox, so that no number of other calls can keep these waiting.
	writePool *pgxpool.Pool
	queue     Queue
	gates     *gates // of pool
	draws     *raffle.Draws
	keys      keyCache
	history   history
	pipelines pipelines
	// OnUnreadable, if set, is called whenever a raffle is met whose row can't be read. It
	// must be set before any method is called, may be called from several goroutines at
	// once, and must not block.
	OnUnreadable func(*raffle.UnreadableError)
	// Comparison, if set before any method is called, keeps logs from being signed and
	// ended before the database was compared with the stream.
	Comparison *raffle.Comparison
	// hidesServer is set once the database has refused to say which server it is.
	hidesServer atomic.Bool
}

// New returns a store on two pools of the same database. The caller closes them.
// Draws are off.
func New(pool, writePool *pgxpool.Pool, queue Queue) *Store {
	return &Store{pool: pool, writePool: writePool, queue: queue, gates: newGates(pool.Config().MaxConns)}
}

// UseDraws switches draws on. It is called before any other method.
func (s *Store) UseDraws(draws *raffle.Draws) { s.draws = draws }

// Settings are set at the beginning of each transaction. They are local to the
// transaction, so that they do not stay on a connection that PgBouncer shares.
//
// Sequential scans are kept out of the plans: a plan that was made while a table was
// empty, and is kept, would otherwise scan the whole table for every request later.
// This distorts the costs, so compilation, which depends on costs, is off. An instance
// that freezes or loses its network between two statements must not hold the lock of a
// raffle for longer than the idle timeout. A transaction waits for a lock for a second.
const Settings = settingsButLock + `set_config('lock_timeout', '1s', true)`

const (
	settingsButLock = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),
		set_config('idle_in_transaction_session_timeout', '2s', true), `
	// impatientSettings are those of a transaction that others wait for, which have
	// nothing to do with the raffle that is locked.
	impatientSettings = settingsButLock + `set_config('lock_timeout', '250ms', true)`
)

// Reset makes both pools replace their connections: those that are idle at once, those
// in use as soon as they are returned. It is for when the connections may lead to a
// server that is not the primary any more.
func (s *Store) Reset() {
	s.pool.Reset()
	s.writePool.Reset()
}

// probeReadsTimeout bounds the wait of Probe for the pool of reads, all of whose
// connections may be in use.
const probeReadsTimeout = time.Second

// Probe checks that the database answers and takes writes. It fails with
// raffle.ErrUnavailable or the cause of ctx. If a connection of either pool leads to a
// server that does not take writes, it resets both.
func (s *Store) Probe(ctx context.Context) error {
	err := probe(ctx, s.writePool)
	readsCtx, cancel := context.WithTimeout(ctx, probeReadsTimeout)
	defer cancel()
	if errors.Is(err, errReadOnly) || errors.Is(probe(readsCtx, s.pool), errReadOnly) {
		s.Reset()
	}
	return classify(err)
}

func probe(ctx context.Context, pool *pgxpool.Pool) error {
	var readOnly bool
	err := pool.QueryRow(ctx, `SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean`,
		pgx.QueryExecModeExec).Scan(&readOnly)
	if err == nil && readOnly {
		return errReadOnly
	}
	return err
}

// changeRaffle runs f, which changes one raffle, in a transaction as inTx does. Calls for
// a raffle that a stranger has locked fail with raffle.ErrLocked, and hold no more than
// their share of the connections.
func (s *Store) changeRaffle(ctx context.Context, raffleID int64, f func(pgx.Tx) error) error {
	return s.gates.change(ctx, raffleID, func() error { return inTx(ctx, s.pool, f) })
}

// inTx runs f in a transaction, and repeats both if that is safe and may help.
func inTx(ctx context.Context, pool *pgxpool.Pool, f func(pgx.Tx) error) error {
	return retry(ctx, func() error {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return &unwrittenError{err}
		}
		defer conn.Release()
		tx, err := conn.Begin(ctx)
		if err != nil {
			return unwritten(pool, err)
		}
		defer func() { _ = tx.Rollback(ctx) }() // without effect after Commit
		if _, err := tx.Exec(ctx, Settings); err != nil {
			return unwritten(pool, err)
		}
		if err := f(tx); err != nil {
			return unwritten(pool, err)
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

// readOn runs a query on a connection of a pool, and repeats it if that may help. It
// never returns what a server has answered that does not take writes: that may be old.
func readOn(ctx context.Context, pool *pgxpool.Pool, query func(*pgx.Conn) error) error {
	return retry(ctx, func() error {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return &unwrittenError{err}
		}
		defer conn.Release()
		err = query(conn.Conn())
		if isReadOnly(conn.Conn()) {
			pool.Reset()
			return &unwrittenError{errReadOnly}
		}
		return unwritten(pool, err)
	})
}

// unwritten marks an error of a connection as one that came before the commit. If it means
// that the connection was lost, the other connections of the pool are most likely lost, too,
// and are replaced. That a new one can't be made, as while its name can't be resolved, says
// nothing of those that there are: such errors are not passed to unwritten.
func unwritten(pool *pgxpool.Pool, err error) error {
	if err == nil {
		return nil
	}
	if isConnectionLost(err) {
		pool.Reset()
	}
	return &unwrittenError{err}
}
