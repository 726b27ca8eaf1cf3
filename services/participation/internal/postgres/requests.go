package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// errReplayed means that an earlier request had the same id and was the same call.
var errReplayed = errors.New("the request was executed before")

// request is a request that makes or changes a raffle.
type request struct {
	id   raffle.RequestID // zero: it has none
	call string
	// content is a hash of what it asks for.
	content []byte
}

// newRequest returns a request with fields, which must be values that JSON can express.
func newRequest(id raffle.RequestID, call string, fields any) (request, error) {
	text, err := json.Marshal(fields)
	if err != nil {
		return request{}, fmt.Errorf("%s: %w", call, err)
	}
	content := sha256.Sum256(text)
	return request{id: id, call: call, content: content[:]}, nil
}

// claim records that a request changes a raffle. If an earlier request had the same
// id, it fails with errReplayed and returns the raffle of that request, or, if that
// was another call or asked for something else, with *raffle.RequestReusedError.
func (r *request) claim(ctx context.Context, tx pgx.Tx, raffleID int64, now time.Time) (int64, error) {
	if r.id == (raffle.RequestID{}) {
		return raffleID, nil
	}
	tag, err := tx.Exec(ctx, `INSERT INTO raffle_requests (request_id, raffle_id, call, created_at, content)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, r.id, raffleID, r.call, now, r.content)
	if err != nil || tag.RowsAffected() == 1 {
		return raffleID, err
	}
	return r.find(ctx, tx)
}

// find looks for an earlier request with the same id. It fails as claim does if there is
// one, and returns 0 if not.
func (r *request) find(ctx context.Context, tx pgx.Tx) (raffleID int64, err error) {
	if r.id == (raffle.RequestID{}) {
		return 0, nil
	}
	var call string
	var content []byte
	err = tx.QueryRow(ctx, `SELECT raffle_id, call, content FROM raffle_requests WHERE request_id = $1`, r.id).Scan(&raffleID, &call, &content)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, err
	case call != r.call, content != nil && !bytes.Equal(content, r.content):
		return 0, &raffle.RequestReusedError{}
	}
	return raffleID, errReplayed
}
