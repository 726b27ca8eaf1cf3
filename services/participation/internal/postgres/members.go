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

// member identifies a member of a raffle.
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

// loadMembers loads the rows of selectMemberStates into an admission.
func loadMembers(admission *raffle.Admission, rows pgx.Rows, members []member) error {
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
