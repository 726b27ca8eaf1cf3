package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// audit records that the actor of ctx has made a call, within the transaction of its
// change. memberID is empty unless the call is about one member.
func audit(ctx context.Context, tx pgx.Tx, call string, raffleID int64, memberID string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO audit_events (at, call, raffle_id, actor, member_id) VALUES ($1, $2, $3, $4, NULLIF($5, ''))`,
		now, call, raffleID, raffle.ActorOf(ctx), memberID)
	return err
}

// ListAuditEvents reads at most limit events with ids below before, the newest first.
// raffleID 0 selects the events of all raffles.
func (s *Store) ListAuditEvents(ctx context.Context, raffleID, before int64, limit int) (list []raffle.AuditEvent, err error) {
	query, args := `SELECT id, at, call, raffle_id, actor, COALESCE(member_id, '') FROM audit_events
		WHERE id < $1 ORDER BY id DESC LIMIT $2`, []any{before, limit}
	if raffleID != 0 {
		query, args = `SELECT id, at, call, raffle_id, actor, COALESCE(member_id, '') FROM audit_events
			WHERE raffle_id = $3 AND id < $1 ORDER BY id DESC LIMIT $2`, append(args, raffleID)
	}
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, query, args...)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (raffle.AuditEvent, error) {
			var e raffle.AuditEvent
			var at pgtype.Timestamptz
			err := row.Scan(&e.ID, &at, &e.Call, &e.RaffleID, &e.Actor, &e.MemberID)
			e.At = timeOf(at)
			return e, err
		})
		return err
	})
	return list, err
}
