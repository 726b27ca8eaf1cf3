package web

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/rafflecast/rafflecast/services/draw/chance"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// raffle is what the page shows of a raffle's odds: the event's data.
type raffle struct {
	ID                  int64      `json:"id"`
	State               string     `json:"state"`
	Title               string     `json:"title"`
	Entries             int64      `json:"entries"`
	Members             int64      `json:"members"`
	Winners             int64      `json:"winners"`
	MaxEntriesPerMember int64      `json:"maxEntriesPerMember"`
	OpensAt             *time.Time `json:"opensAt"`
	ClosesAt            *time.Time `json:"closesAt"`
	DrawsAt             *time.Time `json:"drawsAt"`
	At                  *time.Time `json:"at"`
	Rule                string     `json:"rule"`
	Prizes              []struct {
		Name  string
		Count int64
	} `json:"prizes"`
	Holders []struct {
		Entries, Members int64
	} `json:"holders"`
	WinningTickets []struct {
		Ticket, Prize int64
	} `json:"winningTickets"`

	json json.RawMessage // the event's data itself
}

// raffleOf returns what an update says.
func raffleOf(u *odds.Update) (*raffle, error) {
	o := &raffle{json: u.JSON}
	if err := json.Unmarshal(u.JSON, o); err != nil {
		return nil, fmt.Errorf("the event of raffle %d: %w", u.RaffleID, err)
	}
	return o, nil
}

// hasEnded reports whether no entries will be taken any more.
func (o *raffle) hasEnded() bool { return o.State != "SCHEDULED" && o.State != "OPEN" }

// nextChance returns the chance of whoever enters next, for the first time, from 0 to 1.
func (o *raffle) nextChance() (float64, error) {
	rule := chance.EntryWins
	var holders []chance.Class
	if o.Rule == string(chance.MemberWinsOnce) {
		rule = chance.MemberWinsOnce
		for _, h := range o.Holders {
			holders = append(holders, chance.Class{Entries: h.Entries, Members: h.Members})
		}
	}
	return chance.IfEntered(chance.Odds{Rule: rule, Winners: o.Winners, Entries: o.Entries, Holders: holders}, 0)
}

// hero is the largest thing on the page: what a visitor wants to know now. The script
// makes the same of each new version, and knows the visitor's own entries as well.
type hero struct {
	Label  string
	Figure string
	IsText bool // the figure is in words, not a number
	Detail string
}

// heroOf returns the hero for a visitor who has no entries, as far as is known.
func (t *texts) heroOf(o *raffle, now time.Time) (hero, error) {
	switch o.State {
	case "SCHEDULED":
		if o.OpensAt == nil {
			return hero{Figure: t.Get("soon"), IsText: true, Detail: t.Get("soonDetail")}, nil
		}
		return hero{Label: t.Get("opensIn"), Figure: t.until(*o.OpensAt, now), IsText: true, Detail: t.formatTime(*o.OpensAt)}, nil
	case "OPEN":
		next, err := o.nextChance()
		if err != nil {
			return hero{}, fmt.Errorf("raffle %d: %w", o.ID, err)
		}
		h := hero{Label: t.Get("enterNow"), Figure: t.formatOneIn(next)}
		switch {
		case next >= 1:
			h.Detail = t.Get("sure")
		case next < likely:
			h.Detail = formatChance(next)
		}
		return h, nil
	case "CLOSED":
		h := hero{Label: t.Get("closedLabel"), Figure: t.Get("closed"), IsText: true}
		if o.DrawsAt != nil {
			h.Label, h.Figure = t.Get("drawingAt"), o.DrawsAt.UTC().Format("15:04 UTC")
		}
		h.Detail = t.Get("turnout", "people", t.Get("people", "n", o.Members), "winners", t.Get("winners", "n", o.Winners))
		return h, nil
	case "DRAWN":
		n := int64(len(o.WinningTickets))
		if n == 0 {
			n = min(o.Winners, o.Entries)
		}
		if n == 0 {
			return hero{Label: t.Get("drawn"), Figure: t.Get("noWinner"), IsText: true}, nil
		}
		return hero{Label: t.Get("drawn"), Figure: t.Get("winners", "n", n), IsText: true}, nil
	}
	return hero{Figure: t.Get("cancelled"), IsText: true, Detail: t.Get("cancelledDetail")}, nil
}

// until writes the time until a moment.
func (t *texts) until(moment, now time.Time) string {
	if rest := moment.Sub(now); rest > 0 {
		return t.formatDuration(rest)
	}
	return t.Get("anyMoment")
}

// sentence returns the facts of a raffle in one sentence.
func (t *texts) sentence(o *raffle) string {
	var parts []string
	holds, wins := "hold", "win"
	if o.hasEnded() {
		holds = "held"
	}
	if o.State == "CLOSED" || o.State == "SCHEDULED" {
		wins = "toWin"
	}
	switch {
	case o.Members > 0:
		parts = append(parts, t.Get(holds, "n", o.Members, "entries", t.Get("entries", "n", o.Entries)))
	case o.State == "OPEN":
		parts = append(parts, t.Get("nobody"))
	}
	if o.State != "CANCELLED" && o.State != "DRAWN" {
		parts = append(parts, t.Get(wins, "n", o.Winners))
	}
	if o.State != "SCHEDULED" { // the hero tells when it opens
		parts = append(parts, t.moment(o))
	} else if o.ClosesAt != nil {
		parts = append(parts, t.Get("closesAt", "time", t.formatTime(*o.ClosesAt)))
	}
	return t.Get("sentence", "parts", join(parts, t.Get("semicolon")))
}

// prizes lists what can be won, if that is more than the title says.
func (t *texts) prizes(o *raffle) string {
	if len(o.Prizes) == 1 && o.Prizes[0].Name == o.Title {
		return ""
	}
	names := make([]string, len(o.Prizes))
	for i, p := range o.Prizes {
		names[i] = t.Get("prize", "n", p.Count, "name", p.Name)
	}
	return join(names, t.Get("comma"))
}

// moment tells when a raffle opens, closes, or ended.
func (t *texts) moment(o *raffle) string {
	var key string
	at := o.At
	switch o.State {
	case "SCHEDULED":
		key, at = "opensAt", o.OpensAt
	case "OPEN":
		key, at = "closesAt", o.ClosesAt
		if at == nil {
			return t.Get("noClosing")
		}
	case "CLOSED":
		key = "closedAt"
	case "CANCELLED":
		key = "cancelledAt"
	default:
		key = "drawnAt"
	}
	if at == nil {
		return ""
	}
	return t.Get(key, "time", t.formatTime(*at))
}

// stubNote tells in the place of the form why nobody can enter; "" if they can.
func (t *texts) stubNote(o *raffle) string {
	switch {
	case o.State == "OPEN":
		return ""
	case o.State == "SCHEDULED":
		return t.Get("notOpenYet") + " " + t.Get("limit", "n", o.MaxEntriesPerMember)
	case o.State == "CLOSED" && o.DrawsAt != nil:
		return t.Get("overDrawing")
	case o.State == "CLOSED":
		return t.Get("overClosed")
	case o.State == "CANCELLED":
		return t.Get("overCancelled")
	}
	return t.Get("overDrawn")
}

// countdown returns what a raffle's countdown leads to, and when; a zero time if there is
// none beside the hero.
func (o *raffle) countdown() (key string, moment *time.Time) {
	switch {
	case o.State == "OPEN" && o.ClosesAt != nil:
		return "closesIn", o.ClosesAt
	case o.State == "CLOSED" && o.DrawsAt != nil:
		return "drawsIn", o.DrawsAt
	}
	return "", nil
}
