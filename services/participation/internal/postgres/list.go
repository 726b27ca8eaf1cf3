package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Both read a range of the primary key.
const (
	selectEntries = `SELECT member_id, ordinal, created_at, coalesce(ticket, 0) FROM entries
		WHERE raffle_id = $1 AND (member_id, ordinal) > ($2, $3) AND withdrawn_at IS NULL
		ORDER BY member_id, ordinal LIMIT $4`
	selectMemberEntries = `SELECT member_id, ordinal, created_at, coalesce(ticket, 0) FROM entries
		WHERE raffle_id = $1 AND member_id = $2 AND ordinal > $3 AND withdrawn_at IS NULL
		ORDER BY ordinal LIMIT $4`
)

// ListEntries reads at most limit entries of a raffle that were not withdrawn, by
// member and ordinal, starting behind the given key. If memberID is not empty, it
// reads the entries of that member only. It fails with *raffle.NotFoundError.
func (s *Store) ListEntries(ctx context.Context, raffleID int64, memberID string, after raffle.EntryKey, limit int,
) (list []raffle.Entry, err error) {
	query, args := selectEntries, []any{raffleID, after.MemberID, after.Ordinal, limit}
	if memberID != "" {
		query, args = selectMemberEntries, []any{raffleID, memberID, after.Ordinal, limit}
	}
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		var batch pgx.Batch // one round trip and one transaction
		batch.Queue(Settings)
		batch.Queue(query, args...).Query(func(rows pgx.Rows) (err error) {
			list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (raffle.Entry, error) {
				e := raffle.Entry{RaffleID: raffleID}
				var created pgtype.Timestamptz
				err := row.Scan(&e.MemberID, &e.Ordinal, &created, &e.Ticket)
				e.CreatedAt = timeOf(created)
				return e, err
			})
			return err
		})
		return conn.SendBatch(ctx, &batch).Close()
	})
	if err == nil && len(list) == 0 {
		_, err = s.Get(ctx, raffleID)
	}
	return list, err
}
