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
