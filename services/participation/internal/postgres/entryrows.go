package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// insertEntries stores entries. Their tickets are 0 if their raffle has no log; the array
// is NULL if no raffle of the batch has one. In the list of results, unnest needs no copy
// of its rows.
const insertEntries = `
	INSERT INTO entries (raffle_id, member_id, ordinal, request_id, created_at, ticket)
	SELECT unnest($1::bigint[]), unnest($2::text[]), unnest($3::integer[]), unnest($4::uuid[]), $5,
		nullif(unnest($6::bigint[]), 0)`

// insertNewcomers is insertEntries for members of whom nothing was read. If one of them has
// an entry, it fails with the code haveEntered, and without a member's id in any log.
const (
	insertNewcomers = `SELECT insert_newcomers($1, $2, $3, $4, coalesce($5, now()), $6)`
	haveEntered     = "RC001"
)

// countEntries stores the counts of raffles, and returns their new rows' identity. Without
// a time, it is that of the transaction.
const countEntries = `
	UPDATE raffles r SET state = c.state, entries = c.entries, members = c.members, version = c.version,
		updated_at = coalesce($6, now())
	FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[])
		AS c(id, state, entries, members, version)
	WHERE r.id = c.id
	RETURNING r.id, r.updated_at, r.xmin`

// countOne is countEntries for one raffle. Its plan is kept, whereas PostgreSQL makes one of
// countEntries for each batch, since it depends on the number of raffles.
const countOne = `
	UPDATE raffles SET state = $2, entries = $3, members = $4, version = $5, updated_at = coalesce($6, now())
	WHERE id = $1
	RETURNING id, updated_at, xmin`

// countLogged is countEntries for one raffle that has a log, or counts its holders.
const countLogged = `
	UPDATE raffles SET state = $2, entries = $3, members = $4, version = $5, updated_at = coalesce($6, now()), holders = $7,
		log_tree = $8, drawing = $9, draw_round = $10, draws_at = $11, checkpoint = $12
	WHERE id = $1
	RETURNING id, updated_at, xmin`

// writtenRow identifies a row that a transaction has written.
type writtenRow struct {
	id   int64
	at   time.Time // the time of the version
	xmin uint32    // the transaction
}

// queueEntries stores entries, some of which may be of members of whom nothing was read.
func queueEntries(batch *pgx.Batch, entries []raffle.Entry, newcomers bool) {
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
	insert := insertEntries
	if newcomers {
		insert = insertNewcomers
	}
	batch.Queue(insert, raffleIDs, memberIDs, ordinals, requestIDs, timestamp(entries[0].CreatedAt), tickets)
}

// queueCounts stores the counts of raffles. written is called with each row that it has
// written.
func queueCounts(batch *pgx.Batch, raffles []raffle.Raffle, written func(writtenRow)) {
	n := len(raffles)
	ids, states := make([]int64, 0, n), make([]raffle.State, 0, n)
	entries, members, versions := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	for i := range raffles {
		r := &raffles[i]
		if r.Log != nil || r.Holders != nil {
			queueLogged(batch, r, written)
			continue
		}
		ids, states, versions = append(ids, r.ID), append(states, r.State), append(versions, r.Version)
		entries, members = append(entries, r.EntryCount), append(members, r.MemberCount)
	}
	switch len(ids) {
	case 0:
	case 1:
		batch.Queue(countOne, ids[0], states[0], entries[0], members[0], versions[0], timestamp(raffles[0].UpdatedAt)).Query(eachWritten(written))
	default:
		batch.Queue(countEntries, ids, states, entries, members, versions, timestamp(raffles[0].UpdatedAt)).Query(eachWritten(written))
	}
}

// queueLogged stores the counts of a raffle, and what was appended to its log.
func queueLogged(batch *pgx.Batch, r *raffle.Raffle, written func(writtenRow)) {
	d := drawColumnsOf(r)
	batch.Queue(countLogged, r.ID, r.State, r.EntryCount, r.MemberCount, r.Version, timestamp(r.UpdatedAt), d.holders,
		d.tree, d.drawing, d.round, d.drawsAt, d.checkpoint).Query(eachWritten(written))
	queueLog(batch, r.ID, r.Log)
}

// eachWritten calls written with each row that an UPDATE returns.
func eachWritten(written func(writtenRow)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var row writtenRow
		_, err := pgx.ForEachRow(rows, []any{&row.id, &row.at, &row.xmin}, func() error {
			written(row)
			return nil
		})
		return err
	}
}

// timestamp returns a time as PostgreSQL takes it; the zero time is NULL.
func timestamp(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}
