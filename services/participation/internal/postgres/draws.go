package postgres

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// DueDraws reads the raffles whose draw is due, at most 100, the longest overdue first.
func (s *Store) DueDraws(ctx context.Context) (list []raffle.Raffle, err error) {
	err = readOn(ctx, s.writePool, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, `SELECT `+columns+` FROM raffles WHERE draws_at <= clock_timestamp() AND log_origin IS NOT NULL ORDER BY draws_at LIMIT 100`)
		list, _, err = s.collect(rows)
		return err
	})
	return list, err
}

// logChunk is how many rows of a log are read at a time. A row has a batch, of 10,000
// records at most.
const logChunk = 100

// ReadLog calls f with the records of a raffle's log from an index on, in order, until
// the log ends or f fails. The slice is valid during the call only. It fails with
// *raffle.LogMismatchError if a record is missing.
func (s *Store) ReadLog(ctx context.Context, raffleID, from int64, f func(index int64, record []byte) error) error {
	for next := from; ; {
		var chunk []raffle.Records
		err := readOn(ctx, s.pool, func(conn *pgx.Conn) (err error) {
			rows, _ := conn.Query(ctx, `SELECT first, count, records FROM raffle_log WHERE raffle_id = $1
				AND first >= coalesce((SELECT max(first) FROM raffle_log WHERE raffle_id = $1 AND first <= $2), 0)
				ORDER BY first LIMIT $3`, raffleID, next, logChunk)
			chunk, err = pgx.CollectRows(rows, pgx.RowToStructByPos[raffle.Records])
			return err
		})
		if err != nil {
			return err
		}
		before := next
		for _, records := range chunk {
			next, err = eachRecord(records, next, f)
			if errors.Is(err, errDamagedLog) {
				return &raffle.LogMismatchError{RaffleID: raffleID, Cause: err}
			}
			if err != nil {
				return err
			}
		}
		if next == before {
			return nil
		}
	}
}

// eachRecord calls f with those records whose index is next or above, and returns the
// index after them.
func eachRecord(records raffle.Records, next int64, f func(int64, []byte) error) (int64, error) {
	if records.First > next {
		return next, fmt.Errorf("%w: record %d is missing", errDamagedLog, next)
	}
	data := records.Data
	for i := range int64(records.Count) {
		if len(data) < 4 || uint64(binary.BigEndian.Uint32(data)) > uint64(len(data)-4) {
			return next, fmt.Errorf("%w: record %d is cut off", errDamagedLog, records.First+i)
		}
		size := binary.BigEndian.Uint32(data)
		record := data[4 : 4+size]
		data = data[4+size:]
		if index := records.First + i; index >= next {
			if err := f(index, record); err != nil {
				return next, err
			}
			next = index + 1
		}
	}
	return next, nil
}

// errDamagedLog means that the rows of a log are not as they were written.
var errDamagedLog = errors.New("the stored log is damaged")

// SaveDraw stores a drawing, in one transaction, and returns the raffle. It fails with
// *raffle.NoDrawError if the draw was made meanwhile.
func (s *Store) SaveDraw(ctx context.Context, raffleID int64, res raffle.Result) (raffle.Raffle, error) {
	members, err := s.ticketMembers(ctx, raffleID, res.Winners)
	if err != nil {
		return raffle.Raffle{}, err
	}
	return s.changeOnce(ctx, raffleID, raffle.RequestID{}, "DrawRaffle", nil, func(tx pgx.Tx, r *raffle.Raffle, now time.Time) error {
		if r.Log == nil {
			return &raffle.NoLogError{RaffleID: raffleID}
		}
		number := r.Log.Drawing
		if err := r.Drawn(res, now); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE drawings SET signature = $3, seed = $4 WHERE raffle_id = $1 AND drawing = $2`,
			raffleID, number, hex.EncodeToString(res.Signature), res.Seed); err != nil {
			return err
		}
		return insertWinners(ctx, tx, raffleID, res.Winners, members)
	})
}

// ticketMembers reads the members of drawn tickets. It reads the raffle's entries from
// first to last, since an index on tickets would cost every entry more than this.
func (s *Store) ticketMembers(ctx context.Context, raffleID int64, winners []raffle.Winner) (map[int64]string, error) {
	tickets := make([]int64, len(winners))
	for i := range winners {
		tickets[i] = winners[i].Ticket
	}
	members := make(map[int64]string, len(tickets))
	err := readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		clear(members)
		rows, _ := conn.Query(ctx, `SELECT e.ticket, e.member_id FROM entries e
			WHERE e.raffle_id = $1 AND e.ticket = ANY($2)`, raffleID, tickets)
		var ticket int64
		var member string
		_, err := pgx.ForEachRow(rows, []any{&ticket, &member}, func() error {
			members[ticket] = member
			return nil
		})
		return err
	})
	return members, err
}

func insertWinners(ctx context.Context, tx pgx.Tx, raffleID int64, winners []raffle.Winner, members map[int64]string) error {
	rows := make([][]any, len(winners))
	for i, w := range winners {
		var member *string
		if id, ok := members[w.Ticket]; ok {
			member = &id
		}
		rows[i] = []any{raffleID, w.Ticket, w.Drawing, w.Position, member, int16(w.State), w.Prize, w.Place}
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"winners"},
		[]string{"raffle_id", "ticket", "drawing", "position", "member_id", "state", "prize", "place"}, pgx.CopyFromRows(rows))
	return err
}

// Drawings reads the drawings of a raffle by their numbers.
func (s *Store) Drawings(ctx context.Context, raffleID int64) (list []raffle.Drawing, err error) {
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, `SELECT drawing, round, draws_at, checkpoint, signature, seed FROM drawings
			WHERE raffle_id = $1 ORDER BY drawing`, raffleID)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (raffle.Drawing, error) {
			var d raffle.Drawing
			var at pgtype.Timestamptz
			err := row.Scan(&d.Number, &d.Round, &at, &d.Checkpoint, &d.Signature, &d.Seed)
			d.DrawsAt = timeOf(at)
			return d, err
		})
		return err
	})
	return list, err
}

const winnerColumns = `ticket, drawing, position, coalesce(member_id, ''), state, prize, place, reason`

func scanWinner(row pgx.CollectableRow) (raffle.Winner, error) {
	var w raffle.Winner
	return w, row.Scan(&w.Ticket, &w.Drawing, &w.Position, &w.MemberID, &w.State, &w.Prize, &w.Place, &w.Reason)
}

// ListWinners reads at most limit drawn tickets behind the given key: the winners by
// place, the alternates by place, then the struck ones.
func (s *Store) ListWinners(ctx context.Context, raffleID int64, after raffle.WinnerKey, limit int) (list []raffle.Winner, err error) {
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, `SELECT `+winnerColumns+` FROM winners
			WHERE raffle_id = $1 AND (state, place, ticket) > ($2, $3, $4)
			ORDER BY state, place, ticket LIMIT $5`, raffleID, after.State, after.Place, after.Ticket, limit)
		list, err = pgx.CollectRows(rows, scanWinner)
		return err
	})
	return list, err
}

// TicketState tells what became of a ticket, which must be an entry's.
func (s *Store) TicketState(ctx context.Context, raffleID, ticket int64) (state raffle.TicketState, err error) {
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		var drawn *raffle.WinnerState
		var withdrawn bool
		err := conn.QueryRow(ctx, `SELECT (SELECT state FROM winners WHERE raffle_id = $1 AND ticket = $2),
			EXISTS (SELECT FROM withdrawn_tickets WHERE raffle_id = $1 AND ticket = $2)`, raffleID, ticket).Scan(&drawn, &withdrawn)
		switch {
		case withdrawn:
			state = raffle.Withdrawn
		case drawn == nil:
			state = raffle.Live
		default:
			state = raffle.TicketWins + raffle.TicketState(*drawn-raffle.Wins)
		}
		return err
	})
	return state, err
}

// DrawnTickets reads the first tickets of a drawing, in the order in which they were
// drawn, and how many were.
func (s *Store) DrawnTickets(ctx context.Context, raffleID int64, drawing int32, limit int) (tickets []int64, count int64, err error) {
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		var batch pgx.Batch
		batch.Queue(`SELECT ticket FROM winners WHERE raffle_id = $1 AND drawing = $2 ORDER BY position LIMIT $3`,
			raffleID, drawing, limit).Query(func(rows pgx.Rows) (err error) {
			tickets, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		})
		batch.Queue(`SELECT count(*) FROM winners WHERE raffle_id = $1 AND drawing = $2`, raffleID, drawing).QueryRow(func(row pgx.Row) error {
			return row.Scan(&count)
		})
		return conn.SendBatch(ctx, &batch).Close()
	})
	return tickets, count, err
}

// Vacant counts the prizes of a drawn raffle that nobody holds.
func (s *Store) Vacant(ctx context.Context, r *raffle.Raffle) (vacant int64, err error) {
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, countHeld, r.ID, raffle.Wins).Scan(&vacant)
	})
	return int64(r.Winners) - vacant, err
}

const countHeld = `SELECT count(*) FROM winners WHERE raffle_id = $1 AND state = $2`

// Strike strikes a drawn ticket, and returns it and the alternate that has taken its
// place, or nil if the place is vacant. It fails with *raffle.NotFoundError,
// *raffle.TicketNotFoundError, *raffle.RequestReusedError, and as raffle.Raffle.Strike
// does.
func (s *Store) Strike(ctx context.Context, raffleID, ticket int64, reason raffle.Reason, id raffle.RequestID,
) (struck raffle.Winner, successor *raffle.Winner, of raffle.Raffle, err error) {
	of, err = s.changeOnce(ctx, raffleID, id, "StrikeWinner", []any{ticket, reason}, func(tx pgx.Tx, r *raffle.Raffle, now time.Time) error {
		var next *raffle.Winner
		rows, _ := tx.Query(ctx, `SELECT `+winnerColumns+` FROM winners WHERE raffle_id = $1
			AND (ticket = $2 OR ticket = (SELECT ticket FROM winners WHERE raffle_id = $1 AND state = $3 AND ticket <> $2 ORDER BY drawing, place LIMIT 1))`,
			raffleID, ticket, raffle.Alternate)
		list, err := pgx.CollectRows(rows, scanWinner)
		if err != nil {
			return err
		}
		found := false
		for i, w := range list {
			if w.Ticket == ticket {
				struck, found = w, true
			} else {
				next = &list[i]
			}
		}
		switch {
		case r.Log == nil:
			return &raffle.NoLogError{RaffleID: raffleID}
		case ticket >= r.Log.Tree.Size:
			return &raffle.TicketNotFoundError{RaffleID: raffleID, Ticket: ticket}
		case !found:
			struck = raffle.Winner{Ticket: ticket, State: raffle.Struck}
		}
		if err := r.Strike(&struck, next, reason, now); err != nil {
			return err
		}
		if err := updateWinner(ctx, tx, raffleID, struck); err != nil {
			return err
		}
		if successor = nil; next != nil && next.State == raffle.Wins {
			successor = next
			return updateWinner(ctx, tx, raffleID, *next)
		}
		return nil
	})
	if errors.Is(err, errReplayed) {
		if of, err = s.Get(ctx, raffleID); err == nil {
			struck, successor, err = s.struck(ctx, raffleID, ticket)
		}
	}
	return struck, successor, of, err
}

func updateWinner(ctx context.Context, tx pgx.Tx, raffleID int64, w raffle.Winner) error {
	_, err := tx.Exec(ctx, `UPDATE winners SET state = $3, prize = $4, place = $5, reason = $6 WHERE raffle_id = $1 AND ticket = $2`,
		raffleID, w.Ticket, w.State, w.Prize, w.Place, w.Reason)
	return err
}

// struck answers a request that was executed before: with the ticket, and whoever has its
// place now.
func (s *Store) struck(ctx context.Context, raffleID, ticket int64) (struck raffle.Winner, successor *raffle.Winner, err error) {
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, `SELECT `+winnerColumns+` FROM winners w WHERE raffle_id = $1 AND (ticket = $2
			OR state = $3 AND place = (SELECT place FROM winners WHERE raffle_id = $1 AND ticket = $2))`, raffleID, ticket, raffle.Wins)
		list, err := pgx.CollectRows(rows, scanWinner)
		for i, w := range list {
			if w.Ticket == ticket {
				struck = w
			} else {
				successor = &list[i]
			}
		}
		return err
	})
	return struck, successor, err
}

// Redraw fixes the round by which the vacant prizes of a raffle will be drawn. It fails
// with *raffle.NotFoundError, *raffle.RequestReusedError, and as raffle.Raffle.Redraw does.
func (s *Store) Redraw(ctx context.Context, raffleID int64, id raffle.RequestID) (raffle.Raffle, error) {
	r, err := s.changeOnce(ctx, raffleID, id, "RedrawRaffle", nil, func(tx pgx.Tx, r *raffle.Raffle, now time.Time) error {
		var held int64
		if err := tx.QueryRow(ctx, countHeld, raffleID, raffle.Wins).Scan(&held); err != nil {
			return err
		}
		return r.Redraw(int64(r.Winners)-held, now, s.draws)
	})
	if errors.Is(err, errReplayed) {
		return s.Get(ctx, raffleID)
	}
	return r, err
}

// Purge deletes what a raffle that has ended holds about its members. It fails with
// *raffle.NotFoundError, *raffle.StillOpenError, *raffle.DrawAheadError or
// *raffle.RequestReusedError.
func (s *Store) Purge(ctx context.Context, raffleID int64, id raffle.RequestID) (raffle.Raffle, error) {
	r, err := s.changeOnce(ctx, raffleID, id, "PurgeRaffle", nil, func(tx pgx.Tx, r *raffle.Raffle, _ time.Time) error {
		if err := r.CheckPurge(); err != nil {
			return err
		}
		var batch pgx.Batch
		batch.Queue(`DELETE FROM entries WHERE raffle_id = $1`, raffleID)
		batch.Queue(`UPDATE winners SET member_id = NULL WHERE raffle_id = $1`, raffleID)
		batch.Queue(`DELETE FROM raffle_keys WHERE raffle_id = $1`, raffleID)
		batch.Queue(`UPDATE audit_events SET member_id = NULL WHERE raffle_id = $1 AND member_id IS NOT NULL`, raffleID)
		return tx.SendBatch(ctx, &batch).Close()
	})
	s.keys.forget(raffleID)
	if errors.Is(err, errReplayed) {
		return s.Get(ctx, raffleID)
	}
	return r, err
}
