package watch

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/words"
)

// odds are the parts of an event that are shown.
type odds struct {
	Version              int64
	State                string
	Title                string
	Entries              int64
	Members              int64
	Winners              int32
	WinnerProbability    *float64 // in percent
	NextEntryProbability *float64
	OpensAt              *time.Time
	ClosesAt             *time.Time
	DrawsAt              *time.Time
	WinningTickets       []struct{ Ticket int64 }
}

// isFinal reports whether nothing follows these odds.
func (o *odds) isFinal() bool { return sseclient.IsFinal(o.State, o.DrawsAt != nil) }

// next says what happens next, and in how long: closes in 2h 3m. now is the server's time.
func (o *odds) next(now time.Time) string {
	at, what := (*time.Time)(nil), ""
	switch o.State {
	case "SCHEDULED":
		at, what = o.OpensAt, "opens"
	case "OPEN":
		at, what = o.ClosesAt, "closes"
	case "CLOSED":
		at, what = o.DrawsAt, "draws"
	}
	if at == nil {
		return ""
	}
	if !at.After(now) {
		return what + " any moment now"
	}
	return what + " in " + words.Span(at.Sub(now))
}

// counts says who has entered: 42 entries of 40 members, 3 win.
func (o *odds) counts() string {
	win := "win"
	if o.Winners == 1 {
		win = "wins"
	}
	return fmt.Sprintf("%s of %s, %d %s", words.Count(o.Entries, "entry", "entries"),
		words.Count(o.Members, "member", "members"), o.Winners, win)
}

// chance is what the raffle's state makes of its odds.
func (o *odds) chance() string {
	switch {
	case o.State == "CANCELLED":
		return "cancelled: nobody wins"
	case o.State == "DRAWN":
		return o.drawn()
	case o.WinnerProbability == nil:
		return "no entries yet"
	}
	return "each entry " + words.OneIn(*o.WinnerProbability/100)
}

// maxTickets is how many winning tickets are named.
const maxTickets = 10

func (o *odds) drawn() string {
	if len(o.WinningTickets) == 0 {
		return "drawn: nobody has won"
	}
	var tickets []string
	for _, t := range o.WinningTickets[:min(len(o.WinningTickets), maxTickets)] {
		tickets = append(tickets, strconv.FormatInt(t.Ticket, 10))
	}
	if len(o.WinningTickets) > maxTickets {
		tickets = append(tickets, "and more")
	}
	return "drawn: tickets " + strings.Join(tickets, ", ") + " win"
}

// line is what is written of odds where nothing can be redrawn.
func (o *odds) line(now time.Time) string {
	parts := []string{now.Local().Format("15:04:05"), fmt.Sprintf("%-9s", o.State), o.counts(), o.chance()}
	if next := o.next(now); next != "" {
		parts = append(parts, next)
	}
	return strings.Join(parts, "  ")
}

func (o *odds) title() string { return console.Printable(o.Title) }
