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

const insertEntries = `
	INSERT INTO entries (raffle_id, member_id, ordinal, request_id, created_at)
	SELECT raffle_id, member_id, ordinal, request_id, $5
	FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::uuid[]) AS e(raffle_id, member_id, ordinal, request_id)`

// insertTickets is insertEntries for a batch in which raffles have logs.
const insertTickets = `
	INSERT INTO entries (raffle_id, member_id, ordinal, request_id, created_at, ticket)
	SELECT raffle_id, member_id, ordinal, request_id, $5, nullif(ticket, 0)
	FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::uuid[], $6::bigint[])
		AS e(raffle_id, member_id, ordinal, request_id, ticket)`

const countEntries = `
	UPDATE raffles r SET state = c.state, entries = c.entries, members = c.members, version = c.version, updated_at = $6
	FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[])
		AS c(id, state, entries, members, version)
	WHERE r.id = c.id`

// countLogged is countEntries for one raffle that has a log, or counts its holders.
const countLogged = `
	UPDATE raffles SET state = $2, entries = $3, members = $4, version = $5, updated_at = $6, holders = $7,
		log_tree = $8, drawing = $9, draw_round = $10, draws_at = $11, checkpoint = $12
	WHERE id = $1`

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
	err := retry(ctx, func() (err error) {
		if d, err = s.enterOnce(ctx, reqs, settings, lock); errors.Is(err, errStaleKey) {
			s.forgetKeys(reqs)
			d, err = s.enterOnce(ctx, reqs, settings, lock)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.queue.Enqueue(ctx, d.Changed...)
	return d.Results, nil
}

// enterOnce runs the transaction in two round trips: the first begins it, locks and
// reads, and the second writes and commits.
func (s *Store) enterOnce(ctx context.Context, reqs []raffle.EnterRequest, settings, lock string) (raffle.Decision, error) {
	conn, err := s.writePool.Acquire(ctx)
	if err != nil {
		return raffle.Decision{}, &unwrittenError{err}
	}
	// If the connection is still within the transaction, the pool closes it, and so
	// the transaction is rolled back.
	defer conn.Release()
	admission, err := s.beginAdmission(ctx, conn, reqs, settings, lock)
	if err != nil {
		return raffle.Decision{}, unwritten(s.writePool, err)
	}
	if admission.HasStaleTags(reqs) {
		return raffle.Decision{}, &unwrittenError{errStaleKey}
	}
	d := admission.Decide(reqs)
	var batch pgx.Batch
	if len(d.Placed) > 0 {
		queueEntries(&batch, d.Placed)
	}
	if len(d.Changed) > 0 {
		queueCounts(&batch, d.Changed)
	}
	batch.Queue(`COMMIT`)
	return d, conn.SendBatch(ctx, &batch).Close()
}

// beginAdmission begins a transaction, locks the raffles of a batch, and reads the
// clock and what the members have. Each statement has a snapshot of its own, so those
// behind the lock see everything that was committed before the lock was taken.
func (s *Store) beginAdmission(ctx context.Context, conn *pgxpool.Conn, reqs []raffle.EnterRequest, settings, lock string) (*raffle.Admission, error) {
	members := distinctMembers(reqs)
	raffleIDs, memberIDs := make([]int64, len(members)), make([]string, len(members))
	for i, m := range members {
		raffleIDs[i], memberIDs[i] = m.raffleID, m.memberID
	}
	requestIDs := make(pgtype.FlatArray[pgtype.UUID], 0, len(reqs))
	for i := range reqs {
		if id := uuid(reqs[i].RequestID); id.Valid {
			requestIDs = append(requestIDs, id)
		}
	}
	var (
		raffles    []raffle.Raffle
		unreadable []*raffle.UnreadableError
		admission  *raffle.Admission
		batch      pgx.Batch
	)
	batch.Queue(`BEGIN`)
	batch.Queue(settings)
	batch.Queue(lock, distinct(raffleIDs)).Query(func(rows pgx.Rows) (err error) {
		raffles, unreadable, err = s.collect(rows)
		return err
	})
	s.queueClock(&batch, func(now time.Time) { admission = raffle.NewAdmission(now, raffles, len(reqs)) })
	if ids := untagged(reqs); len(ids) > 0 {
		batch.Queue(selectKeys, ids).Query(func(rows pgx.Rows) error { return s.scanKeys(rows, admission.LoadKey) })
	}
	if lock == lockFreeRaffles {
		batch.Queue(selectRaffleIDs, distinct(raffleIDs)).Query(func(rows pgx.Rows) error {
			return refuseLocked(admission, rows, raffles)
		})
	}
	batch.Queue(selectMemberStates, raffleIDs, memberIDs, requestIDs).Query(func(rows pgx.Rows) error {
		return loadMembers(admission, rows, members)
	})
	err := conn.SendBatch(ctx, &batch).Close()
	for _, u := range unreadable {
		if admission != nil {
			admission.Refuse(u.RaffleID, u)
		}
	}
	return admission, err
}

// queueClock reads the database's clock and, if draws are on, in the same statement which
// database it is.
func (s *Store) queueClock(batch *pgx.Batch, use func(now time.Time)) {
	var now time.Time
	if s.Comparison == nil || s.draws == nil {
		batch.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&now)
			use(now)
			return err
		})
		return
	}
	check := s.Comparison.Check()
	batch.Queue(selectClockAndTicks).QueryRow(func(row pgx.Row) error {
		identity := check.Known
		err := row.Scan(&now, &identity.ID, &identity.Ticks)
		use(now)
		if err == nil {
			// Entries are taken in any case. A restore is noticed here at once, so that what
			// they change is not published before the comparison.
			_ = check.Passes(identity)
		}
		return err
	})
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

func queueEntries(batch *pgx.Batch, entries []raffle.Entry) {
	n := len(entries)
	raffleIDs, memberIDs := make([]int64, n), make([]string, n)
	ordinals, requestIDs := make([]int32, n), make(pgtype.FlatArray[pgtype.UUID], n)
	var tickets []int64
	for i := range entries {
		e := &entries[i]
		raffleIDs[i], memberIDs[i], ordinals[i], requestIDs[i] = e.RaffleID, e.MemberID, e.Ordinal, uuid(e.RequestID)
		if e.Ticket != 0 && tickets == nil {
			tickets = make([]int64, n)
		}
		if tickets != nil {
			tickets[i] = e.Ticket
		}
	}
	if tickets == nil {
		batch.Queue(insertEntries, raffleIDs, memberIDs, ordinals, requestIDs, entries[0].CreatedAt)
	} else {
		batch.Queue(insertTickets, raffleIDs, memberIDs, ordinals, requestIDs, entries[0].CreatedAt, tickets)
	}
}

func queueCounts(batch *pgx.Batch, raffles []raffle.Raffle) {
	n := len(raffles)
	ids, states := make([]int64, 0, n), make([]raffle.State, 0, n)
	entries, members, versions := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	for i := range raffles {
		r := &raffles[i]
		if r.Log != nil || r.Holders != nil {
			queueLogged(batch, r)
			continue
		}
		ids, states, versions = append(ids, r.ID), append(states, r.State), append(versions, r.Version)
		entries, members = append(entries, r.EntryCount), append(members, r.MemberCount)
	}
	if len(ids) > 0 {
		batch.Queue(countEntries, ids, states, entries, members, versions, raffles[0].UpdatedAt)
	}
}

// queueLogged stores the counts of a raffle, and what was appended to its log.
func queueLogged(batch *pgx.Batch, r *raffle.Raffle) {
	d := drawColumnsOf(r)
	batch.Queue(countLogged, r.ID, r.State, r.EntryCount, r.MemberCount, r.Version, r.UpdatedAt, d.holders,
		d.tree, d.drawing, d.round, d.drawsAt, d.checkpoint)
	queueLog(batch, r.ID, r.Log)
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
