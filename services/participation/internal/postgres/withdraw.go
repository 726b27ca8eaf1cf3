package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Withdraw withdraws an entry. It fails with *raffle.NotFoundError,
// *raffle.NotOpenError or *raffle.EntryNotFoundError.
func (s *Store) Withdraw(ctx context.Context, req raffle.WithdrawRequest) (raffle.WithdrawResult, error) {
	var res raffle.WithdrawResult
	err := s.changeRaffle(ctx, req.RaffleID, func(tx pgx.Tx) error {
		r, err := s.lockRaffle(ctx, tx, req.RaffleID)
		if err != nil {
			return err
		}
		now, err := clock(ctx, tx)
		if err != nil {
			return err
		}
		entries, err := storedEntries(ctx, tx, req.RaffleID, req.MemberID)
		if err != nil {
			return err
		}
		if res, err = r.Withdraw(req, entries, now); err != nil || res.Replayed {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE entries SET withdrawn_at = $4, withdraw_request_id = $5
			WHERE raffle_id = $1 AND member_id = $2 AND ordinal = $3`,
			req.RaffleID, req.MemberID, res.Entry.Ordinal, now, uuid(req.RequestID))
		if err != nil {
			return err
		}
		if res.Entry.Ticket != 0 {
			if _, err := tx.Exec(ctx, `INSERT INTO withdrawn_tickets VALUES ($1, $2)`, req.RaffleID, res.Entry.Ticket); err != nil {
				return err
			}
		}
		if raffle.ActorOf(ctx) != "" { // not the member itself
			if err := audit(ctx, tx, "Withdraw", req.RaffleID, req.MemberID, now); err != nil {
				return err
			}
		}
		return save(ctx, tx, r)
	})
	if err == nil && !res.Replayed {
		s.queue.Enqueue(ctx, res.Raffle)
	}
	return res, err
}

// storedEntries reads the entries of a member in a raffle, the withdrawn ones
// included, by ascending ordinal.
func storedEntries(ctx context.Context, tx pgx.Tx, raffleID int64, memberID string) ([]raffle.StoredEntry, error) {
	rows, _ := tx.Query(ctx, `SELECT ordinal, request_id, created_at, withdrawn_at IS NOT NULL, withdraw_request_id, coalesce(ticket, 0)
		FROM entries WHERE raffle_id = $1 AND member_id = $2 ORDER BY ordinal`, raffleID, memberID)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (raffle.StoredEntry, error) {
		e := raffle.StoredEntry{Entry: raffle.Entry{RaffleID: raffleID, MemberID: memberID}}
		var request, withdrawRequest *raffle.RequestID
		var created pgtype.Timestamptz
		err := row.Scan(&e.Ordinal, &request, &created, &e.Withdrawn, &withdrawRequest, &e.Ticket)
		e.CreatedAt = timeOf(created)
		if request != nil {
			e.RequestID = *request
		}
		if withdrawRequest != nil {
			e.WithdrawRequestID = *withdrawRequest
		}
		return e, err
	})
}
