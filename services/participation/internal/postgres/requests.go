package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// errRepeat says that an earlier request had the same id and asked for the same.
var errRepeat = errors.New("a repeat")

// claim notes that this request changes a raffle. Where an earlier one has the
// id, it fails with errRepeat and returns that one's raffle, or with
// *raffle.RequestReusedError where that one was another call.
func claim(ctx context.Context, tx pgx.Tx, id raffle.RequestID, raffleID int64, call string, now time.Time) (int64, error) {
	if id == (raffle.RequestID{}) {
		return raffleID, nil
	}
	tag, err := tx.Exec(ctx, `INSERT INTO raffle_requests (request_id, raffle_id, call, created_at)
		VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, id, raffleID, call, now)
	if err != nil || tag.RowsAffected() == 1 {
		return raffleID, err
	}
	var firstCall string
	err = tx.QueryRow(ctx, `SELECT raffle_id, call FROM raffle_requests WHERE request_id = $1`, id).Scan(&raffleID, &firstCall)
	switch {
	case err != nil:
		return 0, err
	case firstCall != call:
		return 0, &raffle.RequestReusedError{}
	}
	return raffleID, errRepeat
}
