package verifier

import (
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
	for i, tickets := range r.Winners {
		fmt.Fprintf(w, "prize    %q: tickets %d (0 is vacant)\n", r.Log.Rules().Prizes[i].Name, tickets)
	}
	for _, ticket := range r.Tickets {
		fmt.Fprintf(w, "ticket   %d: %s\n", ticket, place(r, ticket))
	}
	fmt.Fprintf(w, "result   %s\n", r.Outcome)
}

// place says what a ticket won.
func place(r *draw.Report, ticket int64) string {
	for i, tickets := range r.Winners {
		if slices.Contains(tickets, ticket) {
			return fmt.Sprintf("has won %q", r.Log.Rules().Prizes[i].Name)
		}
	}
	if i := slices.Index(r.Alternates, ticket); i >= 0 {
		return fmt.Sprintf("is alternate %d", i+1)
	}
	return "has not won"
}
