package commands

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw/chance"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/words"
)

// printRaffle writes all of a raffle, a line for each of its parts that there is.
func printRaffle(c *console.Console, r *rafflev1.Raffle) error {
	rows := [][]string{
		{"raffle", strconv.FormatInt(r.GetId(), 10)},
		{"title", r.GetTitle()},
		{"state", c.Style(stateStyle(r.GetState()), r.GetState().String()) + ahead(r)},
		{"entries", fmt.Sprintf("%d of %s, each at most %d", r.GetEntries(),
			words.Count(r.GetMembers(), "member", "members"), r.GetMaxEntriesPerMember())},
		{"winners", prizes(r)},
		{"each entry", words.OneIn(raffleChance(r, r.GetEntries()))},
	}
	if r.GetState() == rafflev1.Raffle_OPEN {
		rows = append(rows, []string{"enter now", words.OneIn(raffleChance(r, r.GetEntries()+1))})
	}
	for _, part := range []struct{ name, text string }{
		{"opens", formatTime(r.GetOpensAt())},
		{"closes", formatTime(r.GetClosesAt())},
		{"draws", formatTime(r.GetDrawsAt())},
		{"rule", ruleText(r)},
		{"alternates", nonZero(r.GetAlternates())},
		{"visible to", visibility(r)},
		{"picture", r.GetPictureUrl()},
		{"description", strings.Join(strings.Fields(r.GetDescription()), " ")},
		{"created", formatTime(r.GetCreatedAt())},
	} {
		if part.text != "" {
			rows = append(rows, []string{part.name, part.text})
		}
	}
	for _, row := range rows {
		text := row[1]
		if row[0] != "state" { // which has our own styles
			text = console.Printable(text)
		}
		c.Printf("%-12s %s\n", row[0], text)
	}
	return nil
}

func nonZero(n int32) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(int(n))
}

func visibility(r *rafflev1.Raffle) string {
	if r.GetVisibility() == rafflev1.Raffle_MEMBERS {
		return "members only"
	}
	return ""
}

func ruleText(r *rafflev1.Raffle) string {
	switch {
	case r.GetDraw() == nil:
		return "closes without a draw"
	case r.GetRule() == rafflev1.Raffle_MEMBER_WINS_ONCE:
		return "a member wins at most once"
	}
	return "each entry can win"
}

// prizes writes how many win, and what: 3: Guitar, 2 × Strings.
func prizes(r *rafflev1.Raffle) string {
	var names []string
	for _, p := range r.GetPrizes() {
		name := p.GetName()
		if p.GetCount() > 1 {
			name = fmt.Sprintf("%d × %s", p.GetCount(), name)
		}
		names = append(names, name)
	}
	text := strconv.Itoa(int(r.GetWinners()))
	if len(names) > 0 {
		text += ": " + strings.Join(names, ", ")
	}
	return text
}

func stateStyle(state rafflev1.Raffle_State) string {
	switch state { //nolint:exhaustive // the others are neither
	case rafflev1.Raffle_OPEN:
		return console.Green
	case rafflev1.Raffle_SCHEDULED, rafflev1.Raffle_CLOSED:
		return console.Yellow
	case rafflev1.Raffle_CANCELLED:
		return console.Red
	}
	return console.Bold
}

// ahead writes what happens next, and when: ", closes in 2h".
func ahead(r *rafflev1.Raffle) string {
	in := func(what string, t *timestamppb.Timestamp) string {
		if t == nil {
			return ""
		}
		return ", " + what + " in " + words.Span(time.Until(t.AsTime()))
	}
	switch r.GetState() { //nolint:exhaustive // after the others nothing follows
	case rafflev1.Raffle_SCHEDULED:
		return in("opens", r.GetOpensAt())
	case rafflev1.Raffle_OPEN:
		return in("closes", r.GetClosesAt())
	case rafflev1.Raffle_CLOSED:
		return in("draws", r.GetDrawsAt())
	case rafflev1.Raffle_DRAWN:
		return in("draws again", r.GetDrawsAt())
	}
	return ""
}

// raffleChance returns the chance of one entry of so many, from 0 to 1, or NaN without
// entries. If a member wins at most once, it is the average over the entries.
func raffleChance(r *rafflev1.Raffle, entries int64) float64 {
	winning := int64(r.GetWinners())
	if r.GetRule() == rafflev1.Raffle_MEMBER_WINS_ONCE {
		winning = min(winning, max(1, r.GetMembers()+entries-r.GetEntries()))
	}
	if entries == 0 {
		return math.NaN()
	}
	return min(1, float64(winning)/float64(entries))
}

// ownChance writes a member's own chance, from the odds and the number of its entries.
func ownChance(o *rafflev1.Odds, entries int32) string {
	odds := chance.Odds{Rule: chance.EntryWins, Winners: int64(o.GetWinners()), Entries: o.GetEntries()}
	if o.GetRule() == rafflev1.Raffle_MEMBER_WINS_ONCE {
		odds.Rule = chance.MemberWinsOnce
	}
	for _, h := range o.GetHolders() {
		odds.Holders = append(odds.Holders, chance.Class{Entries: int64(h.GetEntries()), Members: h.GetMembers()})
	}
	p, err := chance.Own(odds, int64(entries))
	if err != nil {
		return "not known"
	}
	return words.OneIn(p)
}

// raffleRow is a line of a table of raffles. The title may be wide, so it comes last.
func raffleRow(r *rafflev1.Raffle) []string {
	next := cmp.Or(strings.TrimPrefix(ahead(r), ", "), "-")
	return []string{
		strconv.FormatInt(r.GetId(), 10), r.GetState().String(), strconv.FormatInt(r.GetEntries(), 10),
		strconv.FormatInt(r.GetMembers(), 10), strconv.Itoa(int(r.GetWinners())), next, r.GetTitle(),
	}
}

var raffleHeading = []string{"ID", "STATE", "ENTRIES", "MEMBERS", "WINNERS", "NEXT", "TITLE"}
