package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Withdraw takes an entry back. It fails with *raffle.NotFoundError,
// *raffle.NotOpenError or *raffle.EntryNotFoundError.
func (s *Store) Withdraw(ctx context.Context, req raffle.WithdrawRequest) (raffle.WithdrawResult, error) {
	var res raffle.WithdrawResult
	err := inTx(ctx, s.pool, func(tx pgx.Tx) error {
		r, err := lockRaffle(ctx, tx, req.RaffleID)
		if err != nil {
			return err
		}
		now, err := clock(ctx, tx)
		if err != nil {
			return err
		}
		entries, err := placements(ctx, tx, req.RaffleID, req.MemberID)
		if err != nil {
			return err
		}
		if res, err = r.Withdraw(req, entries, now); err != nil {
			return err
		}
		res.Odds = r.Odds()
		if res.Repeat {
			return nil
		}
		_, err = tx.Exec(ctx, `UPDATE entries SET withdrawn_at = $4, withdraw_request_id = $5
			WHERE raffle_id = $1 AND member_id = $2 AND ordinal = $3`,
			req.RaffleID, req.MemberID, res.Entry.Ordinal, now, uuid(req.RequestID))
		if err != nil {
			return err
		}
		return save(ctx, tx, r)
	})
	if err == nil && !res.Repeat {
		s.committed(ctx, res.Odds)
	}
	return res, err
}

// placements reads what a member has in a raffle, by ascending ordinal.
func placements(ctx context.Context, tx pgx.Tx, raffleID int64, memberID string) ([]raffle.Placement, error) {
	rows, _ := tx.Query(ctx, `SELECT ordinal, request_id, created_at, withdrawn_at IS NOT NULL, withdraw_request_id
		FROM entries WHERE raffle_id = $1 AND member_id = $2 ORDER BY ordinal`, raffleID, memberID)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (raffle.Placement, error) {
		p := raffle.Placement{Entry: raffle.Entry{RaffleID: raffleID, MemberID: memberID}}
		var request, withdraw *raffle.RequestID
		err := row.Scan(&p.Ordinal, &request, &p.CreatedAt, &p.Withdrawn, &withdraw)
		if request != nil {
			p.RequestID = *request
		}
		if withdraw != nil {
			p.WithdrawID = *withdraw
		}
		return p, err
	})
}

// Each is a range of the primary key.
const (
	listEntries = `SELECT member_id, ordinal, created_at FROM entries
		WHERE raffle_id = $1 AND (member_id, ordinal) > ($2, $3) AND withdrawn_at IS NULL
		ORDER BY member_id, ordinal LIMIT $4`
	listMemberEntries = `SELECT member_id, ordinal, created_at FROM entries
		WHERE raffle_id = $1 AND member_id = $2 AND ordinal > $3 AND withdrawn_at IS NULL
		ORDER BY ordinal LIMIT $4`
)

// Entries reads at most limit entries that count, after the one with this member
// and ordinal, by member and ordinal; an empty memberID means all members'. It
// fails with *raffle.NotFoundError.
func (s *Store) Entries(ctx context.Context, raffleID int64, memberID string, after raffle.EntryKey, limit int) ([]raffle.Entry, error) {
	query, args := listEntries, []any{raffleID, after.MemberID, after.Ordinal, limit}
	if memberID != "" {
		query, args = listMemberEntries, []any{raffleID, memberID, after.Ordinal, limit}
	}
	var list []raffle.Entry
	var batch pgx.Batch // one round trip, one transaction
	batch.Queue(Settings)
	batch.Queue(query, args...).Query(func(rows pgx.Rows) (err error) {
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (raffle.Entry, error) {
			e := raffle.Entry{RaffleID: raffleID}
			err := row.Scan(&e.MemberID, &e.Ordinal, &e.CreatedAt)
			return e, err
		})
		return err
	})
	err := s.pool.SendBatch(ctx, &batch).Close()
	if err == nil && len(list) == 0 {
		_, err = s.Get(ctx, raffleID)
	}
	return list, classify(err)
}
