//go:build !race

// With the race detector, the signatures of 2,000 draws take many minutes, so `make test`
// runs this file without it.

package participation_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw/chance"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

const (
	shownRaffles = 2000
	shownCallers = 32
	// maxZ is how many standard deviations a count may be off: chance exceeds it once in a
	// million.
	maxZ = 4.9
)

// shownMembers are the members of each raffle, with their entries. Under MEMBER_WINS_ONCE
// those with one entry win in 55 % of the raffles, where the usual formula says 40 %.
var shownMembers = map[string]int{"large": 3, "a": 1, "b": 1}

// shownRaffle is a raffle, as its callers know it.
type shownRaffle struct {
	id      int64
	rule    rafflev1.Raffle_Rule
	members map[int64]string // by ticket
	odds    *rafflev1.Odds   // that were published last before the draw; nil: those of a like raffle
	winners []int64          // tickets
}

// tally counts who won under one rule.
type tally struct {
	raffles int
	members map[string]int // how often each has won
	tickets []int          // how often the n-th of a raffle's entries has won
}

// TestShown_EqualsWhatIsDrawn lets the whole system draw 2,000 raffles, and compares how
// often each member has won with the chance that the published odds give that member. It
// takes both cores of a small machine for a while, so no other test runs beside it.
func TestShown_EqualsWhatIsDrawn(t *testing.T) { //nolint:paralleltest // see above
	d := setupDrawing(t)
	raffles := make([]shownRaffle, shownRaffles)
	d.each(t, raffles, d.fill)
	d.each(t, raffles, d.closeShown)
	testenv.Eventually(t, "all raffles are drawn", 5*time.Minute, func() bool {
		list, err := d.raffles.ListRaffles(t.Context(), &rafflev1.ListRafflesRequest{PageSize: 1, State: rafflev1.Raffle_CLOSED})
		return err == nil && len(list.GetRaffles()) == 0
	})
	d.each(t, raffles, d.readWinners)
	tallies := map[rafflev1.Raffle_Rule]*tally{}
	for i := range raffles {
		r := &raffles[i]
		of := tallies[r.rule]
		if of == nil {
			of = &tally{members: map[string]int{}}
			tallies[r.rule] = of
		}
		of.add(r)
	}
	for i := range 2 {
		tallies[raffles[i].rule].compare(t, &raffles[i])
	}
}

// each calls f for each raffle, several at a time.
func (d *drawing) each(t *testing.T, raffles []shownRaffle, f func(t *testing.T, i int, r *shownRaffle) error) {
	t.Helper()
	var next atomic.Int64
	var calling sync.WaitGroup
	for range shownCallers {
		calling.Go(func() {
			for i := int(next.Add(1) - 1); i < len(raffles) && !t.Failed(); i = int(next.Add(1) - 1) {
				if err := f(t, i, &raffles[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	calling.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// fill makes a raffle, and enters and withdraws on it.
func (d *drawing) fill(t *testing.T, i int, r *shownRaffle) error {
	t.Helper()
	r.rule, r.members = rafflev1.Raffle_ENTRY_WINS+rafflev1.Raffle_Rule(i%2), map[int64]string{}
	made, err := d.raffles.CreateRaffle(t.Context(), &rafflev1.CreateRaffleRequest{
		Title: fmt.Sprint("Raffle ", i), MaxEntriesPerMember: 6, Rule: r.rule, Alternates: 1,
		Prizes: []*rafflev1.Prize{{Name: "Guitar", Count: 1}, {Name: "Strings", Count: 1}},
		Draw:   &rafflev1.Draw{Delay: durationpb.New(10 * time.Second)},
	})
	if err != nil {
		return err
	}
	r.id = made.GetRaffle().GetId()
	enter := func(member string) error {
		resp, err := d.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: r.id, MemberId: member})
		r.members[resp.GetEntry().GetTicket()] = member
		return err
	}
	withdraws := i/2%10 == 0 // in every tenth raffle of each rule
	if withdraws {
		if err := enter("withdrawn"); err != nil {
			return err
		}
	}
	for member, entries := range shownMembers {
		for range entries {
			if err := enter(member); err != nil {
				return err
			}
		}
	}
	if !withdraws {
		return nil
	}
	_, err = d.entries.Withdraw(t.Context(), &rafflev1.WithdrawRequest{RaffleId: r.id, MemberId: "withdrawn"})
	return err
}

func (d *drawing) closeShown(t *testing.T, i int, r *shownRaffle) error {
	t.Helper()
	if _, err := d.raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: r.id}); err != nil {
		return err
	}
	if i >= 2 { // the odds of all raffles with a rule are alike
		return nil
	}
	resp, err := d.entries.GetOdds(t.Context(), &rafflev1.GetOddsRequest{RaffleId: r.id})
	r.odds = resp.GetOdds()
	return err
}

func (d *drawing) readWinners(t *testing.T, _ int, r *shownRaffle) error {
	t.Helper()
	resp, err := d.raffles.ListWinners(t.Context(), &rafflev1.ListWinnersRequest{RaffleId: r.id})
	for _, w := range resp.GetWinners() {
		if w.GetState() == rafflev1.Winner_WINS {
			r.winners = append(r.winners, w.GetTicket())
		}
	}
	if err == nil && len(r.winners) != 2 {
		err = fmt.Errorf("raffle %d has the winners %v", r.id, resp)
	}
	return err
}

// ownOdds is what a page calculates a member's own chance from.
func ownOdds(o *rafflev1.Odds) chance.Odds {
	odds := chance.Odds{Rule: chance.Rule(o.GetRule().String()), Winners: int64(o.GetWinners()), Entries: o.GetEntries()}
	for _, h := range o.GetHolders() {
		odds.Holders = append(odds.Holders, chance.Class{Entries: int64(h.GetEntries()), Members: h.GetMembers()})
	}
	return odds
}

// add counts the winners of a raffle.
func (c *tally) add(r *shownRaffle) {
	c.raffles++
	won := map[string]bool{}
	for _, ticket := range r.winners {
		won[r.members[ticket]] = true
	}
	n := 0
	for _, ticket := range slices.Sorted(maps.Keys(r.members)) {
		if r.members[ticket] == "withdrawn" {
			continue
		}
		if n == len(c.tickets) {
			c.tickets = append(c.tickets, 0)
		}
		if slices.Contains(r.winners, ticket) {
			c.tickets[n]++
		}
		n++
	}
	for member := range won {
		c.members[member]++
	}
}

// compare compares what was counted with what the odds of one of the raffles show.
func (c *tally) compare(t *testing.T, r *shownRaffle) {
	t.Helper()
	near := func(what string, count int, p float64) {
		n := float64(c.raffles)
		if z := (float64(count) - n*p) / math.Sqrt(n*p*(1-p)); math.Abs(z) > maxZ {
			t.Errorf("%v: %s has won %d of %d raffles, and %.4f is shown: z = %.1f", r.rule, what, count, c.raffles, p, z)
		}
	}
	small, smalls := 0.0, 0
	for member, entries := range shownMembers {
		own, err := chance.Own(ownOdds(r.odds), int64(entries))
		if err != nil {
			t.Fatal(err)
		}
		near(member, c.members[member], own)
		if entries == 1 {
			small += (float64(c.members[member]) - float64(c.raffles)*own) / math.Sqrt(float64(c.raffles)*own*(1-own))
			smalls++
		}
	}
	// Those with one entry together. Each that wins takes a place from the others, so their
	// sum varies less than this says.
	if z := small / math.Sqrt(float64(smalls)); math.Abs(z) > maxZ {
		t.Errorf("%v: the members with one entry together: z = %.1f", r.rule, z)
	}
	if c.members["withdrawn"] > 0 {
		t.Errorf("%v: a withdrawn entry has won %d times", r.rule, c.members["withdrawn"])
	}
	if r.rule == rafflev1.Raffle_ENTRY_WINS {
		for i, won := range c.tickets {
			near(fmt.Sprint("entry ", i+1), won, 2.0/float64(r.odds.GetEntries()))
		}
	}
}
