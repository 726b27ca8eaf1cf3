package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/rafflecast/rafflecast/services/draw"
)

// printText writes one line per check, caution, prize and ticket of the member.
func printText(w io.Writer, r *draw.Report) {
	for _, c := range r.Checks {
		fmt.Fprintf(w, "%-8s %s\n", c.Outcome, c.Text)
	}
	for _, caution := range r.Cautions {
		fmt.Fprintf(w, "caution  %s\n", caution)
	}
	if r.Log != nil {
		for i, tickets := range r.Log.Winners() {
			fmt.Fprintf(w, "prize    %q: tickets %d (0 is vacant)\n", r.Log.Rules().Prizes[i].Name, tickets)
		}
	}
	for _, ticket := range r.Tickets {
		fmt.Fprintf(w, "ticket   %d: %s\n", ticket, place(r.Log, ticket))
	}
	fmt.Fprintf(w, "result   %s\n", r.Outcome())
}

// place says what a ticket won.
func place(l *draw.Log, ticket int64) string {
	for i, tickets := range l.Winners() {
		if slices.Contains(tickets, ticket) {
			return fmt.Sprintf("has won %q", l.Rules().Prizes[i].Name)
		}
	}
	if i := slices.Index(l.Alternates(), ticket); i >= 0 {
		return fmt.Sprintf("is alternate %d", i+1)
	}
	return "has not won"
}

func printJSON(w io.Writer, r *draw.Report) {
	type check struct {
		Outcome string `json:"outcome"`
		Text    string `json:"text"`
	}
	out := struct {
		Outcome    string    `json:"outcome"`
		Checks     []check   `json:"checks"`
		Cautions   []string  `json:"cautions"`
		Winners    [][]int64 `json:"winners"` // by prize; 0 is a vacant place
		Alternates []int64   `json:"alternates"`
		Tickets    []int64   `json:"tickets"` // of the member
	}{Outcome: r.Outcome().String(), Cautions: r.Cautions, Tickets: r.Tickets}
	for _, c := range r.Checks {
		out.Checks = append(out.Checks, check{c.Outcome.String(), c.Text})
	}
	if r.Log != nil {
		out.Winners, out.Alternates = r.Log.Winners(), r.Log.Alternates()
	}
	_ = json.NewEncoder(w).Encode(out) // a failed write has no remedy
}
