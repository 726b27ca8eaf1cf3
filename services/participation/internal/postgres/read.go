package postgres

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// columns are those of a raffle, in the order in which scanRow reads them.
const columns = `id, title, winners, max_entries_per_member, opens_at, closes_at,
	state, entries, members, version, created_at, updated_at, epoch, visibility,
	description, picture_url, prize_names, prize_counts, rule, holders,
	log_origin, log_tree, draw_chain, draw_delay, alternates, drawing, draw_round, draws_at,
	checkpoint, winning_tickets, winning_prizes, log_seen`

// row is a raffle's row as the database may return it, whatever somebody has written by
// hand. pgx ends a result at the first value that it can't read; so that one row does not
// keep those beside it from being read, this has room for everything.
type row struct {
	id, winners, maxEntries, state, entries, members, version pgtype.Int8
	visibility, rule, delay, alternates, drawing, round, seen pgtype.Int8
	title, epoch, description, pictureURL, checkpoint         pgtype.Text
	origin, chain                                             pgtype.Text
	opensAt, closesAt, createdAt, updatedAt, drawsAt          pgtype.Timestamptz
	prizeNames                                                pgtype.FlatArray[pgtype.Text]
	prizeCounts, holders, winningTickets, winningPrizes       pgtype.FlatArray[pgtype.Int8]
	tree                                                      []byte
}

func scanRow(from pgx.CollectableRow) (row, error) {
	var r row
	err := from.Scan(&r.id, &r.title, &r.winners, &r.maxEntries, &r.opensAt, &r.closesAt,
		&r.state, &r.entries, &r.members, &r.version, &r.createdAt, &r.updatedAt, &r.epoch, &r.visibility,
		&r.description, &r.pictureURL, &r.prizeNames, &r.prizeCounts, &r.rule, &r.holders,
		&r.origin, &r.tree, &r.chain, &r.delay, &r.alternates, &r.drawing, &r.round, &r.drawsAt,
		&r.checkpoint, &r.winningTickets, &r.winningPrizes, &r.seen)
	return r, err
}

// raffle returns the raffle, or why no raffle can be like that.
func (r *row) raffle() (raffle.Raffle, *raffle.UnreadableError) {
	if why := cmp.Or(r.checkNumbers(), r.checkTexts(), r.checkLists()); why != nil {
		return raffle.Raffle{}, why
	}
	made := raffle.Raffle{
		ID: r.id.Int64, Epoch: r.epoch.String, Title: r.title.String,
		Winners: int32(r.winners.Int64), MaxEntriesPerMember: int32(r.maxEntries.Int64),
		OpensAt: timeOf(r.opensAt), ClosesAt: timeOf(r.closesAt), State: raffle.State(r.state.Int64),
		EntryCount: r.entries.Int64, MemberCount: r.members.Int64, Version: r.version.Int64,
		CreatedAt: timeOf(r.createdAt), UpdatedAt: timeOf(r.updatedAt),
		Visibility: raffle.Visibility(r.visibility.Int64), Rule: raffle.Rule(r.rule.Int64),
	}
	d := drawColumns{
		seen:        r.seen.Int64,
		description: r.description.String, pictureURL: r.pictureURL.String,
		holders: numbers[int64](r.holders),
		tree:    r.tree, alternates: int32(r.alternates.Int64), drawing: int32(r.drawing.Int64), round: r.round.Int64,
		drawsAt: r.drawsAt, checkpoint: r.checkpoint.String,
		winningTickets: numbers[int64](r.winningTickets), winningPrizes: numbers[int32](r.winningPrizes),
	}
	for i := range r.prizeNames {
		d.prizeNames = append(d.prizeNames, &r.prizeNames[i].String)
	}
	for _, count := range r.prizeCounts {
		d.prizeCounts = append(d.prizeCounts, new(int32(count.Int64)))
	}
	if r.origin.Valid {
		d.origin = &r.origin.String
	}
	if r.chain.Valid {
		d.chain = &r.chain.String
	}
	if r.delay.Valid {
		d.delay = new(int32(r.delay.Int64))
	}
	if err := d.addTo(&made); err != nil {
		return raffle.Raffle{}, r.unreadable("log_tree", true, err.Error())
	}
	return made, nil
}

func numbers[N int32 | int64](list []pgtype.Int8) []N {
	var all []N
	for _, n := range list {
		all = append(all, N(n.Int64))
	}
	return all
}

func (r *row) checkNumbers() *raffle.UnreadableError {
	delay := r.delay
	delay.Valid = true // it may be absent
	for _, c := range []struct {
		column   string
		value    pgtype.Int8
		min, max int64
	}{
		{"id", r.id, 1, math.MaxInt64},
		{"winners", r.winners, 1, math.MaxInt32},
		{"max_entries_per_member", r.maxEntries, 1, math.MaxInt32},
		{"state", r.state, int64(raffle.Scheduled), int64(raffle.Drawn)},
		{"entries", r.entries, 0, math.MaxInt64},
		{"members", r.members, 0, r.entries.Int64},
		{"version", r.version, 1, oddsstream.MaxVersion - 1},
		{"visibility", r.visibility, int64(raffle.Public), int64(raffle.Members)},
		{"rule", r.rule, int64(raffle.EntryWins), int64(raffle.MemberWinsOnce)},
		{"draw_delay", delay, 0, math.MaxInt32},
		{"alternates", r.alternates, 0, math.MaxInt32},
		{"drawing", r.drawing, 0, math.MaxInt32},
		{"draw_round", r.round, 0, math.MaxInt64},
	} {
		if !c.value.Valid || c.value.Int64 < c.min || c.value.Int64 > c.max {
			return r.unreadable(c.column, c.value.Valid, fmt.Sprint(c.value.Int64))
		}
	}
	return nil
}

func (r *row) checkTexts() *raffle.UnreadableError {
	for _, c := range []struct {
		column string
		value  pgtype.Text
	}{{"title", r.title}, {"description", r.description}, {"picture_url", r.pictureURL}, {"checkpoint", r.checkpoint}} {
		if !c.value.Valid || !utf8.ValidString(c.value.String) {
			return r.unreadable(c.column, c.value.Valid, fmt.Sprintf("%.40q", c.value.String))
		}
	}
	if !r.epoch.Valid || !isEpoch(r.epoch.String) {
		return r.unreadable("epoch", r.epoch.Valid, fmt.Sprintf("%.40q", r.epoch.String))
	}
	return nil
}

func (r *row) checkLists() *raffle.UnreadableError {
	for _, name := range r.prizeNames {
		if !name.Valid || !utf8.ValidString(name.String) {
			return r.unreadable("prize_names", name.Valid, fmt.Sprintf("%.40q", name.String))
		}
	}
	for _, c := range []struct {
		column string
		values []pgtype.Int8
		max    int64
	}{
		{"prize_counts", r.prizeCounts, math.MaxInt32},
		{"holders", r.holders, math.MaxInt64},
		{"winning_tickets", r.winningTickets, math.MaxInt64},
		{"winning_prizes", r.winningPrizes, math.MaxInt32},
	} {
		for _, n := range c.values {
			if !n.Valid || n.Int64 < 0 || n.Int64 > c.max {
				return r.unreadable(c.column, n.Valid, fmt.Sprint(n.Int64))
			}
		}
	}
	return nil
}

func (r *row) unreadable(column string, present bool, value string) *raffle.UnreadableError {
	if !present {
		value = "NULL"
	}
	return &raffle.UnreadableError{RaffleID: r.id.Int64, Column: column, Value: value}
}

// isEpoch reports whether gateways can read an epoch: they take 1 to 32 letters, digits
// and hyphens.
func isEpoch(text string) bool {
	const allowed = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
	return text != "" && len(text) <= 32 && strings.Trim(text, allowed) == ""
}

// timeOf returns a time, or the zero time if it is absent, infinite, or of a year that
// the contract can't express.
func timeOf(t pgtype.Timestamptz) time.Time {
	if !t.Valid || t.InfinityModifier != pgtype.Finite || t.Time.UTC().Year() < 1 || t.Time.UTC().Year() > maxYear {
		return time.Time{}
	}
	return t.Time
}

// maxYear is the last year that a google.protobuf.Timestamp can express.
const maxYear = 9999

// collect reads the raffles of a result, and apart from them why others can't be read.
func (s *Store) collect(rows pgx.Rows) (list []raffle.Raffle, unreadable []*raffle.UnreadableError, err error) {
	all, err := pgx.CollectRows(rows, scanRow)
	if err != nil {
		return nil, nil, err
	}
	list = make([]raffle.Raffle, 0, len(all))
	for i := range all {
		r, why := all[i].raffle()
		if why == nil {
			list = append(list, r)
			continue
		}
		unreadable = append(unreadable, why)
		if s.OnUnreadable != nil {
			s.OnUnreadable(why)
		}
	}
	return list, unreadable, nil
}

// collectOne reads the raffle of a result. It fails with *raffle.NotFoundError if there
// is none, and with *raffle.UnreadableError.
func (s *Store) collectOne(rows pgx.Rows, id int64) (raffle.Raffle, error) {
	list, unreadable, err := s.collect(rows)
	switch {
	case err != nil:
		return raffle.Raffle{}, err
	case len(unreadable) > 0:
		return raffle.Raffle{}, unreadable[0]
	case len(list) == 0:
		return raffle.Raffle{}, &raffle.NotFoundError{RaffleID: id}
	}
	return list[0], nil
}
