package postgres

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// selectMemberStates reads what the members of a batch have, each member once. It is
// one aggregate over a range of the primary key, which no plan can turn into a join
// over the whole table. Members that have nothing yield no row. If an entry has the id
// of a request in the batch, the rest of the entry is read as well, because that
// request is replayed.
const selectMemberStates = `
	SELECT m.i, e.*
	FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS m(raffle_id, member_id, i)
	CROSS JOIN LATERAL (
		SELECT (count(*) FILTER (WHERE withdrawn_at IS NULL))::integer AS entries, max(ordinal) AS last,
			array_agg(ordinal) FILTER (WHERE request_id = ANY($3)) AS ordinals,
			array_agg(request_id) FILTER (WHERE request_id = ANY($3)) AS requests,
			array_agg(created_at) FILTER (WHERE request_id = ANY($3)) AS times,
			array_agg(coalesce(ticket, 0)) FILTER (WHERE request_id = ANY($3)) AS tickets
		FROM entries WHERE raffle_id = m.raffle_id AND member_id = m.member_id
	) e
	WHERE e.last IS NOT NULL`

// queueMembers reads what the members of a batch have, except those of unread raffles.
func queueMembers(batch *pgx.Batch, reqs []raffle.EnterRequest, unread map[int64]bool, load func(pgx.Rows, []member) error) {
	members, requests := distinctMembers(reqs, unread)
	raffleIDs, memberIDs := make([]int64, len(members)), make([]string, len(members))
	for i, m := range members {
		raffleIDs[i], memberIDs[i] = m.raffleID, m.memberID
	}
	batch.Queue(selectMemberStates, raffleIDs, memberIDs, requests).Query(func(rows pgx.Rows) error { return load(rows, members) })
}

// member identifies a member of a raffle.
type member struct {
	raffleID int64
	memberID string
}

// distinctMembers returns the members of requests, each once, and the ids of the requests,
// except those for unread raffles.
func distinctMembers(reqs []raffle.EnterRequest, unread map[int64]bool) ([]member, pgtype.FlatArray[pgtype.UUID]) {
	seen := make(map[member]struct{}, len(reqs))
	members, requests := make([]member, 0, len(reqs)), make(pgtype.FlatArray[pgtype.UUID], 0, len(reqs))
	for i := range reqs {
		if unread[reqs[i].RaffleID] {
			continue
		}
		if id := uuid(reqs[i].RequestID); id.Valid {
			requests = append(requests, id)
		}
		m := member{reqs[i].RaffleID, reqs[i].MemberID}
		if _, ok := seen[m]; !ok {
			seen[m] = struct{}{}
			members = append(members, m)
		}
	}
	return members, requests
}

// loadMembers loads the rows of selectMemberStates into an admission, and marks their
// raffles in known.
func loadMembers(admission *raffle.Admission, rows pgx.Rows, members []member, known map[int64]bool) error {
	var (
		i        int64
		state    raffle.MemberState
		ordinals []int32
		requests []pgtype.UUID
		times    []pgtype.Timestamptz
		tickets  []int64
	)
	columns := []any{&i, &state.EntryCount, &state.LastOrdinal, &ordinals, &requests, &times, &tickets}
	_, err := pgx.ForEachRow(rows, columns, func() error {
		m := members[i-1]
		known[m.raffleID] = true
		admission.LoadMember(m.raffleID, m.memberID, state)
		for k := range ordinals {
			admission.LoadEntry(raffle.Entry{
				RaffleID: m.raffleID, MemberID: m.memberID, Ordinal: ordinals[k],
				RequestID: requests[k].Bytes, CreatedAt: timeOf(times[k]), Ticket: tickets[k],
			})
		}
		return nil
	})
	return err
}
