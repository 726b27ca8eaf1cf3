package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// selectServer reads which server answers, and its timeline, which changes with every
// failover. The control file learns of a new timeline with a delay, the name of the
// current WAL file at once.
const selectServer = `SELECT system_identifier::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
	FROM pg_control_system()`

// Identity reads which database answers, and raises its ticks, all in one round trip.
// It is meant to be called once a second.
func (s *Store) Identity(ctx context.Context) (raffle.DatabaseIdentity, error) {
	var identity raffle.DatabaseIdentity
	err := read(ctx, func() error {
		var batch pgx.Batch
		batch.Queue(`UPDATE database_identity SET ticks = ticks + 1 RETURNING id, ticks`).QueryRow(func(row pgx.Row) error {
			return row.Scan(&identity.ID, &identity.Ticks)
		})
		if !s.hidesServer.Load() {
			batch.Queue(selectServer).QueryRow(func(row pgx.Row) error {
				return row.Scan(&identity.System, &identity.Timeline)
			})
		}
		err := s.writePool.SendBatch(ctx, &batch).Close()
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && hidesServer[pg.Code] {
			s.hidesServer.Store(true) // the ticks tell of lost commits nevertheless
		}
		return err
	})
	return identity, err
}

// hidesServer are the codes of errors by which a database says that it does not tell
// which server it is: the right is missing, or the function.
var hidesServer = map[string]bool{"42501": true, "42883": true, "0A000": true}

// compared returns raffle.ErrNotCompared unless the database was compared with the
// stream that answers on this connection, or in this transaction. check must have begun
// before, and what depends on it must have been read before.
func (s *Store) compared(ctx context.Context, tx querier, check raffle.Check) error {
	if s.Comparison == nil {
		return nil
	}
	now := check.Known
	err := tx.QueryRow(ctx, selectTicks).Scan(&now.ID, &now.Ticks)
	if err == nil && !s.hidesServer.Load() {
		err = tx.QueryRow(ctx, selectServer).Scan(&now.System, &now.Timeline)
	}
	if err != nil {
		return err
	}
	return check.Passes(now)
}

const (
	selectTicks         = `SELECT id, ticks FROM database_identity`
	selectClock         = `SELECT clock_timestamp()`
	selectClockAndTicks = `SELECT clock_timestamp(), id, ticks FROM database_identity`
)

// GetCompared is Get for a raffle whose log will be signed. If the database was not
// compared with the stream, it waits for that, and fails with raffle.ErrNotCompared if
// it takes too long.
func (s *Store) GetCompared(ctx context.Context, id int64) (r raffle.Raffle, err error) {
	err = s.onceCompared(ctx, func() error {
		return readOn(ctx, s.pool, func(conn *pgx.Conn) error {
			check := s.Comparison.Check()
			rows, _ := conn.Query(ctx, `SELECT `+columns+` FROM raffles WHERE id = $1`, id)
			if r, err = s.collectOne(rows, id); err != nil || r.Log == nil {
				return err
			}
			return s.compared(ctx, conn, check)
		})
	})
	return r, err
}

// onceCompared calls f. If that fails because the database was not compared with the
// stream, it calls it again after the comparison.
func (s *Store) onceCompared(ctx context.Context, f func() error) error {
	err := f()
	if errors.Is(err, raffle.ErrNotCompared) && s.Comparison.Wait(ctx) {
		return f()
	}
	return err
}
