package postgres

import (
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
	insertNewcomers = `SELECT insert_newcomers($1, $2, $3, $4, $5, $6)`
	haveEntered     = "RC001"
)

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
	batch.Queue(insert, raffleIDs, memberIDs, ordinals, requestIDs, entries[0].CreatedAt, tickets)
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
