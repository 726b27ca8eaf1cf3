package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// nullable returns nil for the zero time.
func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Create stores a new raffle with the title, numbers and times of r, and returns it
// as stored. A request that was executed before returns the raffle that it made then.
// Create fails with *raffle.TimesOutOfOrderError, *raffle.TimePassedError, and with
// *raffle.RequestReusedError if another call had this request id.
//
// If r has a log, by raffle.NewLog, it will be drawn; then Create also fails with
// raffle.ErrDrawsOff or *raffle.ChainUnknownError.
func (s *Store) Create(ctx context.Context, r raffle.Raffle, id raffle.RequestID) (raffle.Raffle, error) {
	req, err := creation(r, id)
	if err != nil {
		return raffle.Raffle{}, err
	}
	var made raffle.Raffle
	var first int64 // the raffle that the request made when it was executed before
	err = inTx(ctx, s.pool, func(tx pgx.Tx) error {
		now, err := clock(ctx, tx)
		if err != nil {
			return err
		}
		// This comes before the rules: the raffle exists, whatever time it is now.
		if first, err = req.find(ctx, tx); err != nil {
			return err
		}
		if err := r.CheckTimes(now); err != nil {
			return err
		}
		if made, err = s.insertRaffle(ctx, tx, r, now); err != nil {
			return err
		}
		// If it was executed before, errReplayed rolls the second raffle back.
		if first, err = req.claim(ctx, tx, made.ID, now); err != nil {
			return err
		}
		return audit(ctx, tx, req.call, made.ID, "", now)
	})
	if errors.Is(err, errReplayed) {
		return s.Get(ctx, first)
	}
	if err != nil {
		return raffle.Raffle{}, err
	}
	s.queue.Enqueue(ctx, made)
	return made, nil
}

func creation(r raffle.Raffle, id raffle.RequestID) (request, error) {
	fields := []any{r.Title, r.Winners, r.MaxEntriesPerMember, r.OpensAt.UTC(), r.ClosesAt.UTC()}
	if r.Visibility > raffle.Public { // versions before did not know it
		fields = append(fields, r.Visibility)
	}
	// Requests of callers that know nothing of draws are hashed as they always were.
	if r.Details != nil || r.Rule == raffle.MemberWinsOnce || r.Log != nil {
		fields = append(fields, r.About(), r.Rule, r.Log)
	}
	return newRequest(id, "CreateRaffle", fields)
}

// insertRaffle stores a new raffle, and returns it as stored.
func (s *Store) insertRaffle(ctx context.Context, tx pgx.Tx, r raffle.Raffle, now time.Time) (raffle.Raffle, error) {
	d := drawColumnsOf(&r)
	rows, _ := tx.Query(ctx, `
		INSERT INTO raffles (title, winners, max_entries_per_member, opens_at, closes_at, state, created_at, updated_at,
			description, picture_url, prize_names, prize_counts, rule, holders, visibility)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING `+columns,
		r.Title, r.Winners, r.MaxEntriesPerMember, nullable(r.OpensAt), nullable(r.ClosesAt), r.StateAt(now), now,
		d.description, d.pictureURL, d.prizeNames, d.prizeCounts, max(raffle.EntryWins, r.Rule), d.holders,
		max(raffle.Public, r.Visibility))
	made, err := s.collectOne(rows, 0)
	if err != nil || r.Log == nil {
		return made, err
	}
	made.Log = raffle.NewLog(raffle.DrawOptions{Chain: r.Log.Chain, Delay: r.Log.Delay}, r.Log.Alternates)
	if err := made.StartLog(s.draws); err != nil {
		return made, err
	}
	if err := insertKey(ctx, tx, made.ID); err != nil {
		return made, err
	}
	return made, save(ctx, tx, made)
}

// Get reads one raffle. It fails with *raffle.NotFoundError.
func (s *Store) Get(ctx context.Context, id int64) (r raffle.Raffle, err error) {
	err = readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, `SELECT `+columns+` FROM raffles WHERE id = $1`, id)
		r, err = s.collectOne(rows, id)
		return err
	})
	return r, err
}

// List reads at most limit raffles with ids above after, by ascending id. State 0
// selects raffles of every state. Raffles that can't be read are left out; there are no
// others if it returns fewer than limit.
func (s *Store) List(ctx context.Context, after int64, limit int, state raffle.State) (list []raffle.Raffle, err error) {
	for want := limit; want > 0; want = limit - len(list) {
		var page []raffle.Raffle
		var unreadable []*raffle.UnreadableError
		err := readOn(ctx, s.pool, func(conn *pgx.Conn) (err error) {
			rows, _ := conn.Query(ctx, `SELECT `+columns+` FROM raffles
				WHERE id > $1 AND ($3 = 0 OR state = $3) ORDER BY id LIMIT $2`, after, want, state)
			page, unreadable, err = s.collect(rows)
			return err
		})
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if len(page)+len(unreadable) < want {
			break
		}
		if n := len(page); n > 0 {
			after = page[n-1].ID
		}
		if n := len(unreadable); n > 0 {
			after = max(after, unreadable[n-1].RaffleID)
		}
	}
	return list, nil
}

// Close closes a raffle. It fails with *raffle.NotFoundError,
// *raffle.NotOpenError or *raffle.RequestReusedError, and as raffle.Raffle.Close does.
func (s *Store) Close(ctx context.Context, raffleID int64, id raffle.RequestID) (raffle.Raffle, error) {
	return s.change(ctx, raffleID, id, "CloseRaffle", nil, func(r *raffle.Raffle, now time.Time) error {
		return r.Close(now, s.draws)
	})
}

// Cancel calls a raffle off. It fails as Close does.
func (s *Store) Cancel(ctx context.Context, raffleID int64, id raffle.RequestID) (raffle.Raffle, error) {
	return s.change(ctx, raffleID, id, "CancelRaffle", nil, (*raffle.Raffle).Cancel)
}

// Update changes a raffle. It fails as Close does, and with
// *raffle.ImmutableError, *raffle.TimesOutOfOrderError or *raffle.TimePassedError.
func (s *Store) Update(ctx context.Context, raffleID int64, c raffle.Change, id raffle.RequestID) (raffle.Raffle, error) {
	return s.change(ctx, raffleID, id, "UpdateRaffle", utc(c), func(r *raffle.Raffle, now time.Time) error {
		return r.Update(c, now)
	})
}

// utc returns a change with its times in UTC, so that equal times have equal texts.
func utc(c raffle.Change) raffle.Change {
	for _, t := range []**time.Time{&c.OpensAt, &c.ClosesAt} {
		if *t != nil {
			at := (*t).UTC()
			*t = &at
		}
	}
	return c
}

// change lets f change a raffle, under its lock and as of now, and stores it. A request
// that was executed before changes nothing. fields are what it asks for.
func (s *Store) change(ctx context.Context, raffleID int64, id raffle.RequestID, call string, fields any,
	f func(*raffle.Raffle, time.Time) error,
) (raffle.Raffle, error) {
	r, err := s.changeOnce(ctx, raffleID, id, call, fields, func(_ pgx.Tx, r *raffle.Raffle, now time.Time) error {
		return f(r, now)
	})
	if errors.Is(err, errReplayed) {
		return s.Get(ctx, raffleID)
	}
	return r, err
}

// changeOnce lets f change a raffle, under its lock and as of now, and stores it. If an
// earlier request was the same, it fails with errReplayed. fields are what it asks for. A
// raffle with a log changes only once the database was compared with the stream; changeOnce
// waits for that, and fails with raffle.ErrNotCompared if it takes too long.
func (s *Store) changeOnce(ctx context.Context, raffleID int64, id raffle.RequestID, call string, fields any,
	f func(pgx.Tx, *raffle.Raffle, time.Time) error,
) (r raffle.Raffle, err error) {
	req, err := newRequest(id, call, fields)
	if err != nil {
		return raffle.Raffle{}, err
	}
	err = s.onceCompared(ctx, func() error {
		return s.changeRaffle(ctx, raffleID, func(tx pgx.Tx) (err error) {
			r, err = s.changeIn(ctx, tx, raffleID, req, f)
			return err
		})
	})
	if err != nil {
		return raffle.Raffle{}, err
	}
	s.queue.Enqueue(ctx, r)
	return r, nil
}

// changeIn is the transaction of changeOnce.
func (s *Store) changeIn(ctx context.Context, tx pgx.Tx, raffleID int64, req request, f func(pgx.Tx, *raffle.Raffle, time.Time) error,
) (r raffle.Raffle, err error) {
	check := s.Comparison.Check()
	if r, err = s.lockRaffle(ctx, tx, raffleID); err != nil {
		return r, err
	}
	if r.Log != nil {
		if err := s.compared(ctx, tx, check); err != nil {
			return r, err
		}
	}
	now, err := clock(ctx, tx)
	if err != nil {
		return r, err
	}
	first, err := req.claim(ctx, tx, raffleID, now)
	if errors.Is(err, errReplayed) && first != raffleID {
		return r, &raffle.RequestReusedError{}
	}
	if err != nil {
		return r, err
	}
	before := r.Version
	if err := f(tx, &r, now); err != nil {
		return r, err
	}
	if err := audit(ctx, tx, req.call, raffleID, "", now); err != nil || r.Version == before {
		return r, err
	}
	return r, save(ctx, tx, r)
}

// lockRaffle locks a raffle until the transaction ends, and reads it. It fails with
// *raffle.NotFoundError.
func (s *Store) lockRaffle(ctx context.Context, tx pgx.Tx, raffleID int64) (raffle.Raffle, error) {
	rows, _ := tx.Query(ctx, `SELECT `+columns+` FROM raffles WHERE id = $1 FOR NO KEY UPDATE`, raffleID)
	return s.collectOne(rows, raffleID)
}

// save stores the columns of a raffle that can change, and what was appended to its log.
// A raffle that is settled is so no longer, since its new version must be published.
func save(ctx context.Context, tx pgx.Tx, r raffle.Raffle) error {
	d := drawColumnsOf(&r)
	_, err := tx.Exec(ctx, `UPDATE raffles SET title = $2, winners = $3, opens_at = $4, closes_at = $5,
		state = $6, entries = $7, members = $8, version = $9, updated_at = $10, settled = false,
		description = $11, picture_url = $12, prize_names = $13, prize_counts = $14, holders = $15,
		log_origin = $16, log_tree = $17, draw_chain = $18, draw_delay = $19, alternates = $20, drawing = $21,
		draw_round = $22, draws_at = $23, checkpoint = $24, winning_tickets = $25, winning_prizes = $26
		WHERE id = $1`,
		r.ID, r.Title, r.Winners, nullable(r.OpensAt), nullable(r.ClosesAt),
		r.State, r.EntryCount, r.MemberCount, r.Version, r.UpdatedAt,
		d.description, d.pictureURL, d.prizeNames, d.prizeCounts, d.holders,
		d.origin, d.tree, d.chain, d.delay, d.alternates, d.drawing,
		d.round, d.drawsAt, d.checkpoint, d.winningTickets, d.winningPrizes)
	var batch pgx.Batch
	if queueLog(&batch, r.ID, r.Log); err != nil || batch.Len() == 0 {
		return err
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// clock reads the database's clock. Called after a lock was taken, it returns a time
// after that; now() would be the time at which the transaction began.
func clock(ctx context.Context, tx pgx.Tx) (now time.Time, err error) {
	err = tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, err
}
