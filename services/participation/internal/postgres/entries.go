package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// useIndexes keeps sequential scans out of a transaction's plans. A plan that was
// made, and kept, while the table was empty would else scan all of it for each
// request later. It is a local setting, so that it goes with the transaction when
// a connection is shared through PgBouncer.
const useIndexes = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`

// lockRaffles locks in id order, so that no two transactions wait for each other.
const lockRaffles = `SELECT ` + columns + ` FROM raffles WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`

// findStandings reads what the members of a batch have already: one aggregate
// per request, which no plan can turn into a join over the table, over a range of
// the primary key. Members that have nothing yield no row.
const findStandings = `
	SELECT req.i, e.entries, e.last, e.repeat, e.repeat_at
	FROM unnest($1::bigint[], $2::text[], $3::uuid[]) WITH ORDINALITY AS req(raffle_id, member_id, request_id, i)
	CROSS JOIN LATERAL (
		SELECT (count(*) FILTER (WHERE withdrawn_at IS NULL))::integer AS entries, max(ordinal) AS last,
			max(ordinal) FILTER (WHERE request_id = req.request_id) AS repeat,
			max(created_at) FILTER (WHERE request_id = req.request_id) AS repeat_at
		FROM entries WHERE raffle_id = req.raffle_id AND member_id = req.member_id
	) e
	WHERE e.last IS NOT NULL`

const insertEntries = `
	INSERT INTO entries (raffle_id, member_id, ordinal, request_id, created_at)
	SELECT raffle_id, member_id, ordinal, request_id, $5
	FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::uuid[]) AS e(raffle_id, member_id, ordinal, request_id)`

const countEntries = `
	UPDATE raffles r SET state = c.state, entries = c.entries, members = c.members, version = c.version, updated_at = $6
	FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS c(id, state, entries, members, version)
	WHERE r.id = c.id`

// EnterBatch places a batch of entries in one transaction and answers each
// request by itself, in order; a request's own failure is in its result's Err.
// An error means that no result is known: none of the batch was placed, or,
// where raffle.ErrUnavailable came at the commit, perhaps all that could be.
func (s *Store) EnterBatch(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	var out raffle.Outcome
	err := again(ctx, func() (err error) {
		out, err = s.enterOnce(ctx, reqs)
		return err
	})
	if err != nil {
		return nil, err
	}
	odds := make([]raffle.Odds, len(out.Changed))
	for i := range out.Changed {
		odds[i] = out.Changed[i].Odds()
	}
	s.committed(odds...)
	return out.Results, nil
}

// enterOnce runs the transaction in two round trips: one that begins it, locks
// and reads, and one that writes and commits.
func (s *Store) enterOnce(ctx context.Context, reqs []raffle.EnterRequest) (out raffle.Outcome, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return out, err
	}
	// The pool closes a connection that comes back within a transaction, which
	// rolls it back.
	defer conn.Release()
	book, err := openBook(ctx, conn, reqs)
	if err != nil {
		return out, err
	}
	for _, req := range reqs {
		book.Enter(req)
	}
	out = book.Outcome()
	var batch pgx.Batch
	if len(out.Placed) > 0 {
		queueEntries(&batch, out.Placed)
		queueCounts(&batch, out.Changed)
	}
	batch.Queue(`COMMIT`)
	return out, conn.SendBatch(ctx, &batch).Close()
}

// openBook begins a transaction, locks the raffles of a batch and reads the clock
// and what the members have. Each statement has a snapshot of its own, so the
// later ones see all that was committed before the locks were taken.
func openBook(ctx context.Context, conn *pgxpool.Conn, reqs []raffle.EnterRequest) (*raffle.Book, error) {
	raffleIDs := make([]int64, len(reqs))
	memberIDs := make([]string, len(reqs))
	requestIDs := make(pgtype.FlatArray[pgtype.UUID], len(reqs))
	for i := range reqs {
		raffleIDs[i], memberIDs[i], requestIDs[i] = reqs[i].RaffleID, reqs[i].MemberID, uuid(reqs[i].RequestID)
	}
	var (
		raffles []raffle.Raffle
		now     time.Time
		book    *raffle.Book
		batch   pgx.Batch
	)
	batch.Queue(`BEGIN`)
	batch.Queue(useIndexes)
	batch.Queue(lockRaffles, distinct(raffleIDs)).Query(func(rows pgx.Rows) (err error) {
		raffles, err = pgx.CollectRows(rows, scanRaffle)
		return err
	})
	batch.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&now); err != nil {
			return err
		}
		book = raffle.NewBook(now, raffles, len(reqs))
		return nil
	})
	batch.Queue(findStandings, raffleIDs, memberIDs, requestIDs).Query(func(rows pgx.Rows) error {
		return loadStandings(book, rows, reqs)
	})
	return book, conn.SendBatch(ctx, &batch).Close()
}

func loadStandings(book *raffle.Book, rows pgx.Rows, reqs []raffle.EnterRequest) error {
	var (
		i        int64
		s        raffle.Standing
		repeat   *int32
		repeatAt *time.Time
	)
	_, err := pgx.ForEachRow(rows, []any{&i, &s.Entries, &s.Last, &repeat, &repeatAt}, func() error {
		req := reqs[i-1]
		book.Load(req.RaffleID, req.MemberID, s)
		if repeat != nil {
			book.LoadRepeat(raffle.Entry{
				RaffleID: req.RaffleID, MemberID: req.MemberID, Ordinal: *repeat,
				RequestID: req.RequestID, CreatedAt: *repeatAt,
			})
		}
		return nil
	})
	return err
}

func queueEntries(batch *pgx.Batch, entries []raffle.Entry) {
	n := len(entries)
	raffleIDs, memberIDs := make([]int64, n), make([]string, n)
	ordinals, requestIDs := make([]int32, n), make(pgtype.FlatArray[pgtype.UUID], n)
	for i := range entries {
		e := &entries[i]
		raffleIDs[i], memberIDs[i], ordinals[i], requestIDs[i] = e.RaffleID, e.MemberID, e.Ordinal, uuid(e.RequestID)
	}
	batch.Queue(insertEntries, raffleIDs, memberIDs, ordinals, requestIDs, entries[0].CreatedAt)
}

func queueCounts(batch *pgx.Batch, raffles []raffle.Raffle) {
	n := len(raffles)
	ids, states := make([]int64, n), make([]raffle.State, n)
	entries, members, versions := make([]int64, n), make([]int64, n), make([]int64, n)
	for i := range raffles {
		r := &raffles[i]
		ids[i], states[i], entries[i], members[i], versions[i] = r.ID, r.State, r.Entries, r.Members, r.Version
	}
	batch.Queue(countEntries, ids, states, entries, members, versions, raffles[0].UpdatedAt)
}

// uuid returns an id as PostgreSQL takes it; none is NULL.
func uuid(id raffle.RequestID) pgtype.UUID {
	return pgtype.UUID{Bytes: id, Valid: id != raffle.RequestID{}}
}

// distinct returns ids in ascending order, each once.
func distinct(ids []int64) []int64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
