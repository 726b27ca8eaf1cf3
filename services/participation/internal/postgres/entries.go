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

// Settings are what a transaction of ours begins with. They are its own, so that they go with it when a connection is
// shared through PgBouncer.
//
// Sequential scans are kept out of its plans: a plan that was made, and kept,
// while the table was empty would else scan all of it for each request later.
// That distorts costs, so compiling by cost is off. And an instance that freezes
// or loses its network between two statements must not hold a raffle's lock for
// longer than the idle timeout.
const Settings = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),
	set_config('idle_in_transaction_session_timeout', '5s', true)`

// lockRaffles locks in id order, so that no two transactions wait for each other.
const lockRaffles = `SELECT ` + columns + ` FROM raffles WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`

// findStandings reads what the members of a batch have already, each member once:
// one aggregate, which no plan can turn into a join over the table, over a range
// of the primary key. Members that have nothing yield no row. Of the entries of
// the batch's own requests, which makes these repeats, it reads the rest as well.
const findStandings = `
	SELECT m.i, e.*
	FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS m(raffle_id, member_id, i)
	CROSS JOIN LATERAL (
		SELECT (count(*) FILTER (WHERE withdrawn_at IS NULL))::integer AS entries, max(ordinal) AS last,
			array_agg(ordinal) FILTER (WHERE request_id = ANY($3)) AS ordinals,
			array_agg(request_id) FILTER (WHERE request_id = ANY($3)) AS requests,
			array_agg(created_at) FILTER (WHERE request_id = ANY($3)) AS times
		FROM entries WHERE raffle_id = m.raffle_id AND member_id = m.member_id
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
	s.committed(ctx, odds...)
	return out.Results, nil
}

// enterOnce runs the transaction in two round trips: one that begins it, locks
// and reads, and one that writes and commits.
func (s *Store) enterOnce(ctx context.Context, reqs []raffle.EnterRequest) (out raffle.Outcome, err error) {
	conn, err := s.entries.Acquire(ctx)
	if err != nil {
		return out, &unwrittenError{err}
	}
	// The pool closes a connection that comes back within a transaction, which
	// rolls it back.
	defer conn.Release()
	book, err := openBook(ctx, conn, reqs)
	if err != nil {
		return out, &unwrittenError{err}
	}
	for _, req := range reqs {
		book.Enter(req)
	}
	out = book.Outcome()
	var batch pgx.Batch
	if len(out.Placed) > 0 {
		queueEntries(&batch, out.Placed)
	}
	if len(out.Changed) > 0 {
		queueCounts(&batch, out.Changed)
	}
	batch.Queue(`COMMIT`)
	return out, conn.SendBatch(ctx, &batch).Close()
}

// openBook begins a transaction, locks the raffles of a batch and reads the clock
// and what the members have. Each statement has a snapshot of its own, so the
// later ones see all that was committed before the locks were taken.
func openBook(ctx context.Context, conn *pgxpool.Conn, reqs []raffle.EnterRequest) (*raffle.Book, error) {
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
		raffles []raffle.Raffle
		now     time.Time
		book    *raffle.Book
		batch   pgx.Batch
	)
	batch.Queue(`BEGIN`)
	batch.Queue(Settings)
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
		return loadStandings(book, rows, members)
	})
	return book, conn.SendBatch(ctx, &batch).Close()
}

// member is one of a raffle's.
type member struct {
	raffleID int64
	memberID string
}

func distinctMembers(reqs []raffle.EnterRequest) []member {
	seen := make(map[member]struct{}, len(reqs))
	members := make([]member, 0, len(reqs))
	for i := range reqs {
		m := member{reqs[i].RaffleID, reqs[i].MemberID}
		if _, ok := seen[m]; !ok {
			seen[m] = struct{}{}
			members = append(members, m)
		}
	}
	return members
}

func loadStandings(book *raffle.Book, rows pgx.Rows, members []member) error {
	var (
		i        int64
		s        raffle.Standing
		ordinals []int32
		requests []pgtype.UUID
		times    []time.Time
	)
	_, err := pgx.ForEachRow(rows, []any{&i, &s.Entries, &s.Last, &ordinals, &requests, &times}, func() error {
		m := members[i-1]
		book.Load(m.raffleID, m.memberID, s)
		for k := range ordinals {
			book.LoadRepeat(raffle.Entry{
				RaffleID: m.raffleID, MemberID: m.memberID, Ordinal: ordinals[k],
				RequestID: requests[k].Bytes, CreatedAt: times[k],
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
