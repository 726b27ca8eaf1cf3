package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// lockRaffles locks rows in id order, so that two batches cannot deadlock.
// lockFreeRaffles leaves out those that another transaction has locked, and
// selectRaffleIDs tells them from those that do not exist.
const (
	lockRaffles     = `SELECT ` + columns + ` FROM raffles WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`
	lockFreeRaffles = lockRaffles + ` SKIP LOCKED`
	selectRaffleIDs = `SELECT id FROM raffles WHERE id = ANY($1)`
)

// EnterBatch places a batch of entries in one transaction and returns a result for
// each request, in the order of the requests. The failure of one request is the Err of
// its result. If EnterBatch returns an error, no result is known: then nothing was
// placed, or, if the error is raffle.ErrUnavailable and came at the commit, perhaps
// everything that the rules allow.
//
// What is wrong with one raffle fails the requests for that raffle only: those for a
// raffle that another transaction has locked for a quarter of a second have the result
// raffle.ErrLocked, those for one whose row can't be read a *raffle.UnreadableError.
func (s *Store) EnterBatch(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return s.enter(ctx, reqs, impatientSettings)
}

// EnterLocked is EnterBatch for a raffle that was locked: it waits for a second.
func (s *Store) EnterLocked(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return s.enter(ctx, reqs, Settings)
}

func (s *Store) enter(ctx context.Context, reqs []raffle.EnterRequest, settings string) ([]raffle.EnterResult, error) {
	results, err := s.enterTogether(ctx, reqs, settings, lockRaffles)
	if err == nil || !concernsOneRaffle(err) {
		return results, err
	}
	if errors.Is(err, raffle.ErrLocked) && len(raffleIDs(reqs)) > 1 {
		results, err = s.enterTogether(ctx, reqs, settings, lockFreeRaffles)
	}
	if err == nil || !concernsOneRaffle(err) {
		return results, err
	}
	return s.enterSplit(ctx, reqs, settings, err)
}

// concernsOneRaffle reports whether the cause of an error may be one raffle or its
// entries, so that the requests for other raffles may succeed without it.
func concernsOneRaffle(err error) bool {
	return errors.Is(err, raffle.ErrLocked) || !errors.Is(err, raffle.ErrUnavailable) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// enterSplit enters a batch that has failed with err in two parts, each with half of the
// raffles. Requests for a single raffle fail with err.
func (s *Store) enterSplit(ctx context.Context, reqs []raffle.EnterRequest, settings string, err error) ([]raffle.EnterResult, error) {
	results := make([]raffle.EnterResult, len(reqs))
	ids := raffleIDs(reqs)
	if len(ids) == 1 {
		for i := range results {
			results[i].Err = err
		}
		return results, nil
	}
	middle := ids[len(ids)/2]
	for _, part := range []func(id int64) bool{
		func(id int64) bool { return id < middle }, func(id int64) bool { return id >= middle },
	} {
		var places []int
		var partReqs []raffle.EnterRequest
		for i := range reqs {
			if part(reqs[i].RaffleID) {
				places, partReqs = append(places, i), append(partReqs, reqs[i])
			}
		}
		partResults, err := s.enter(ctx, partReqs, settings)
		for k, i := range places {
			if err != nil {
				results[i].Err = err
			} else {
				results[i] = partResults[k]
			}
		}
	}
	return results, nil
}

// raffleIDs returns the raffles of requests in ascending order, each once.
func raffleIDs(reqs []raffle.EnterRequest) []int64 {
	ids := make([]int64, len(reqs))
	for i := range reqs {
		ids[i] = reqs[i].RaffleID
	}
	return distinct(ids)
}

// enterTogether enters a batch in one transaction, and enqueues what it has changed.
func (s *Store) enterTogether(ctx context.Context, reqs []raffle.EnterRequest, settings, lock string) ([]raffle.EnterResult, error) {
	var d raffle.Decision
	var assumed assumptions
	if lock == lockRaffles {
		assumed = s.history.assume(reqs)
	}
	err := retry(ctx, func() (err error) {
		d, err = s.enterOnce(ctx, reqs, assumed, settings, lock)
		if errors.Is(err, errChanged) {
			assumed.row = nil
			d, err = s.enterOnce(ctx, reqs, assumed, settings, lock)
		}
		if errors.Is(err, errMembersUnread) {
			s.history.forget(reqs)
			assumed.newcomers, assumed.row = nil, nil
			d, err = s.enterOnce(ctx, reqs, assumed, settings, lock)
		}
		if errors.Is(err, errStaleKey) {
			s.forgetKeys(reqs)
			assumed.newcomers, assumed.row = nil, nil
			d, err = s.enterOnce(ctx, reqs, assumed, settings, lock)
		}
		return err
	})
	if err != nil {
		if assumed.row != nil {
			s.history.forgetRow(assumed.row.row.id)
		}
		return nil, err
	}
	s.queue.Enqueue(ctx, d.Changed...)
	return d.Results, nil
}

// enterOnce runs the transaction in two round trips: the first begins it, locks and
// reads, and the second writes and commits. If the row of a raffle is trusted, one round
// trip does all of that. It fails with errMembersUnread or errChanged if what was trusted
// must be read after all.
func (s *Store) enterOnce(ctx context.Context, reqs []raffle.EnterRequest, assumed assumptions, settings, lock string) (raffle.Decision, error) {
	conn, err := s.writePool.Acquire(ctx)
	if err != nil {
		return raffle.Decision{}, &unwrittenError{err}
	}
	if assumed.row != nil && canPipeline(conn) {
		return s.enterFirst(ctx, conn, reqs, assumed.row, settings)
	}
	// If the connection is still within the transaction, the pool closes it, and so
	// the transaction is rolled back.
	defer conn.Release()
	var (
		admission *raffle.Admission
		known     map[int64]bool
		batch     pgx.Batch
	)
	if assumed.row == nil {
		if admission, known, err = s.beginAdmission(ctx, conn, reqs, assumed.newcomers, settings, lock); err != nil {
			return raffle.Decision{}, unwritten(s.writePool, err)
		}
	} else {
		admission = admissionTo(assumed.row.raffle, len(reqs))
		s.queueUnchanged(&batch, assumed.row, settings)
	}
	if admission.HasStaleTags(reqs) {
		return raffle.Decision{}, &unwrittenError{errStaleKey}
	}
	d := admission.Decide(reqs)
	if refusesUnread(d.Results, reqs, assumed.newcomers) {
		return raffle.Decision{}, &unwrittenError{errMembersUnread}
	}
	if len(d.Placed) > 0 {
		queueEntries(&batch, d.Placed, len(assumed.newcomers) > 0)
	}
	rows := make([]writtenRow, 0, len(d.Changed))
	if len(d.Changed) > 0 {
		queueCounts(&batch, d.Changed, func(row writtenRow) { rows = append(rows, row) })
	}
	batch.Queue(`COMMIT`)
	if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
		return raffle.Decision{}, distrusted(err)
	}
	if assumed.row != nil {
		d.SetTime(rows[0].at)
	}
	s.history.observe(&d, known, rows)
	return d, nil
}

// beginAdmission begins a transaction, locks the raffles of a batch, and reads the
// clock and what the members have, except those of the raffles that are unread. It also
// returns of which raffles it found entries. Each statement has a snapshot of its own, so
// those behind the lock see everything that was committed before the lock was taken.
func (s *Store) beginAdmission(ctx context.Context, conn *pgxpool.Conn, reqs []raffle.EnterRequest, unread map[int64]bool,
	settings, lock string,
) (*raffle.Admission, map[int64]bool, error) {
	var (
		raffles    []raffle.Raffle
		unreadable []*raffle.UnreadableError
		admission  *raffle.Admission
		batch      pgx.Batch
	)
	ids, known := raffleIDs(reqs), make(map[int64]bool)
	batch.Queue(`BEGIN`)
	batch.Queue(settings)
	batch.Queue(lock, ids).Query(func(rows pgx.Rows) (err error) {
		raffles, unreadable, err = s.collect(rows)
		return err
	})
	s.queueClock(&batch, func(now time.Time) { admission = raffle.NewAdmission(now, raffles, len(reqs)) })
	if ids := untagged(reqs); len(ids) > 0 {
		batch.Queue(selectKeys, ids).Query(func(rows pgx.Rows) error { return s.scanKeys(rows, admission.LoadKey) })
	}
	if lock == lockFreeRaffles {
		batch.Queue(selectRaffleIDs, ids).Query(func(rows pgx.Rows) error {
			return refuseLocked(admission, rows, raffles)
		})
	}
	if len(unread) < len(ids) {
		queueMembers(&batch, reqs, unread, func(rows pgx.Rows, members []member) error {
			return loadMembers(admission, rows, members, known)
		})
	}
	err := conn.SendBatch(ctx, &batch).Close()
	for _, u := range unreadable {
		if admission != nil {
			admission.Refuse(u.RaffleID, u)
		}
	}
	return admission, known, err
}

// queueClock reads the database's clock and, if draws are on, in the same statement which
// database it is.
func (s *Store) queueClock(batch *pgx.Batch, use func(now time.Time)) {
	statement, scan := s.clock(use)
	batch.Queue(statement).QueryRow(scan)
}

// clock returns the statement of queueClock, and what takes its row.
func (s *Store) clock(use func(now time.Time)) (statement string, scan func(pgx.Row) error) {
	var now time.Time
	if s.Comparison == nil || s.draws == nil {
		return selectClock, func(row pgx.Row) error {
			err := row.Scan(&now)
			use(now)
			return err
		}
	}
	check := s.Comparison.Check()
	return selectClockAndTicks, func(row pgx.Row) error {
		identity := check.Known
		err := row.Scan(&now, &identity.ID, &identity.Ticks)
		use(now)
		if err == nil {
			// Entries are taken in any case. A restore is noticed here at once, so that what
			// they change is not published before the comparison.
			_ = check.Passes(identity)
		}
		return err
	}
}

// refuseLocked refuses the requests for raffles that exist, which rows says, and are not
// among those that were locked for this batch.
func refuseLocked(admission *raffle.Admission, rows pgx.Rows, locked []raffle.Raffle) error {
	ours := make(map[int64]bool, len(locked))
	for i := range locked {
		ours[locked[i].ID] = true
	}
	var id int64
	_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
		if !ours[id] {
			admission.Refuse(id, raffle.ErrLocked)
		}
		return nil
	})
	return err
}

// uuid returns a request id as PostgreSQL takes it; the zero id is NULL.
func uuid(id raffle.RequestID) pgtype.UUID {
	return pgtype.UUID{Bytes: id, Valid: id != raffle.RequestID{}}
}

// distinct returns the ids in ascending order, each once.
func distinct(ids []int64) []int64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
