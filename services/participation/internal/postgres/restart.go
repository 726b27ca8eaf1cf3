package postgres

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// RestartLog begins another log of a raffle if its log is not a continuation of what was
// seen of it, so that records are lost, and reports whether it did. Then all entries have
// new tickets. A raffle that has ended keeps its log, and notes that records are missing:
// its draw is made again with the same outcome, and nothing else can follow.
func (s *Store) RestartLog(ctx context.Context, raffleID int64, seen raffle.SeenLog) (bool, error) {
	// Most logs continue what was seen, and reading a long one takes too much time to keep
	// its raffle locked. A log only grows, unless this method begins another.
	if continues, err := s.continues(ctx, raffleID, seen); err != nil || continues {
		return false, err
	}
	restarted := false
	var changed []raffle.Raffle
	err := inTx(ctx, s.writePool, func(tx pgx.Tx) error {
		restarted, changed = false, nil
		r, err := s.lockRaffle(ctx, tx, raffleID)
		if err != nil || r.Log == nil {
			return err
		}
		continues, err := continuesLog(ctx, tx, &r, seen)
		if err != nil || continues {
			return err
		}
		restarted = !r.State.Ended()
		switch {
		case restarted:
			err = s.restartLog(ctx, tx, &r, seen)
		case r.Log.Seen >= max(seen.Size, seen.Published):
			return nil // it is noted already
		default:
			err = noteLost(ctx, tx, &r, max(seen.Size, seen.Published))
		}
		changed = append(changed, r)
		return err
	})
	if err != nil {
		return false, err
	}
	s.keys.forget(raffleID)
	s.queue.Enqueue(ctx, changed...)
	return restarted, nil
}

// noteLost notes how many records of the log of a raffle that has ended were published.
func noteLost(ctx context.Context, tx pgx.Tx, r *raffle.Raffle, published int64) error {
	now, err := clock(ctx, tx)
	if err != nil {
		return err
	}
	r.NoteLost(published, now)
	if _, err := tx.Exec(ctx, `UPDATE raffles SET log_seen = $2 WHERE id = $1`, r.ID, published); err != nil {
		return err
	}
	return save(ctx, tx, *r)
}

// continues reports whether a raffle has no log, or one that continues what was seen.
func (s *Store) continues(ctx context.Context, raffleID int64, seen raffle.SeenLog) (continues bool, err error) {
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, `SELECT `+columns+` FROM raffles WHERE id = $1`, raffleID)
		r, err := s.collectOne(rows, raffleID)
		if err != nil || r.Log == nil {
			continues = err == nil
			return err
		}
		continues, err = continuesLog(ctx, conn, &r, seen)
		return err
	})
	return continues, err
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// continuesLog reports whether what was seen of a raffle's log is the beginning of it.
func continuesLog(ctx context.Context, tx querier, r *raffle.Raffle, seen raffle.SeenLog) (bool, error) {
	if life := r.Log.Life(); seen.Life != life || max(seen.Size, seen.Published) > r.Log.Tree.Size {
		return seen.Life < life, nil // what was seen of an earlier log is accounted for
	}
	rows, _ := tx.Query(ctx, `SELECT first, count, records FROM raffle_log WHERE raffle_id = $1 AND first < $2 ORDER BY first`, r.ID, seen.Size)
	defer rows.Close()
	var tree draw.Tree
	for rows.Next() {
		records, err := pgx.RowToStructByPos[raffle.Records](rows)
		if err != nil {
			return false, err
		}
		if _, err := eachRecord(records, tree.Size, func(index int64, record []byte) error {
			if index < seen.Size {
				tree.Append(draw.LeafHash(record))
			}
			return nil
		}); err != nil {
			return false, err
		}
	}
	root := tree.Root()
	return tree.Size == seen.Size && bytes.Equal(root[:], seen.Root), rows.Err()
}

// restartChunk is how many entries are written anew at a time.
const restartChunk = 5000

// restartLog writes another log with the entries that there are, in the order of their
// tickets.
func (s *Store) restartLog(ctx context.Context, tx pgx.Tx, r *raffle.Raffle, seen raffle.SeenLog) error {
	now, err := clock(ctx, tx)
	if err != nil {
		return err
	}
	if err := r.Restart(seen, now, s.draws); err != nil {
		return err
	}
	var secret []byte
	if err := tx.QueryRow(ctx, `SELECT key FROM raffle_keys WHERE raffle_id = $1`, r.ID).Scan(&secret); err != nil {
		return fmt.Errorf("the key of raffle %d: %w", r.ID, err)
	}
	for _, statement := range []string{
		`DELETE FROM raffle_log WHERE raffle_id = $1`, `DELETE FROM withdrawn_tickets WHERE raffle_id = $1`,
		// Tickets become negative until they are given anew, so that each is met once.
		`UPDATE entries SET ticket = CASE WHEN withdrawn_at IS NULL THEN -ticket END WHERE raffle_id = $1`,
	} {
		if _, err := tx.Exec(ctx, statement, r.ID); err != nil {
			return err
		}
	}
	for {
		n, err := reenter(ctx, tx, r, secret)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

// reenter gives tickets to the next entries that wait for one, and returns how many.
func reenter(ctx context.Context, tx pgx.Tx, r *raffle.Raffle, secret []byte) (int, error) {
	rows, _ := tx.Query(ctx, `SELECT member_id, ordinal FROM entries WHERE raffle_id = $1 AND ticket < 0
		ORDER BY ticket DESC LIMIT $2`, r.ID, restartChunk)
	waiting, err := pgx.CollectRows(rows, pgx.RowToStructByPos[raffle.EntryKey])
	if err != nil {
		return 0, err
	}
	members, ordinals, tickets := make([]string, len(waiting)), make([]int32, len(waiting)), make([]int64, len(waiting))
	for i, e := range waiting {
		members[i], ordinals[i] = e.MemberID, e.Ordinal
		tickets[i] = r.Reenter(e.MemberID, e.Ordinal, secret)
	}
	if _, err := tx.Exec(ctx, `UPDATE entries e SET ticket = n.ticket
		FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS n(member_id, ordinal, ticket)
		WHERE e.raffle_id = $1 AND e.member_id = n.member_id AND e.ordinal = n.ordinal`, r.ID, members, ordinals, tickets); err != nil {
		return 0, err
	}
	return len(waiting), save(ctx, tx, *r)
}

// SkipIDs gives raffles that are made from now on ids above this one.
func (s *Store) SkipIDs(ctx context.Context, id int64) error {
	return read(ctx, func() error { // it may be repeated
		_, err := s.writePool.Exec(ctx, `SELECT setval(sequence, $1) FROM pg_get_serial_sequence('raffles', 'id') AS sequence
			WHERE coalesce(pg_sequence_last_value(sequence::regclass), 0) < $1`, id)
		return err
	})
}
