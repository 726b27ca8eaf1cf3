package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// errReplayed means that an earlier request had the same id and was the same call.
var errReplayed = errors.New("the request was executed before")

// claimRequest records that a request changes a raffle. If an earlier request had the
// same id, it fails with errReplayed and returns the raffle of that request, or, if that
// was another call, with *raffle.RequestReusedError.
func claimRequest(ctx context.Context, tx pgx.Tx, id raffle.RequestID, raffleID int64, call string, now time.Time) (int64, error) {
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
	return raffleID, errReplayed
}
