package chance

import (
	"math"
	"math/big"
	"testing"
)

// twentyTwo has 22 tickets of nine members.
var twentyTwo = []Class{{1, 5}, {4, 3}, {5, 1}}

func TestOwn_HasTheExactValues(t *testing.T) {
	t.Parallel()
	three := []Class{{1, 2}, {2, 1}}
	for _, c := range []struct {
		odds     Odds
		entries  int64
		num, den int64
	}{
		{Odds{EntryWins, 1, 42, nil}, 1, 1, 42},
		{Odds{MemberWinsOnce, 1, 42, nil}, 1, 1, 42},
		{Odds{MemberWinsOnce, 1, 42, []Class{{1, 42}}}, 1, 1, 42},
		{Odds{EntryWins, 3, 22, nil}, 1, 3, 22},
		{Odds{EntryWins, 3, 22, nil}, 4, 181, 385},
		{Odds{EntryWins, 3, 22, nil}, 5, 43, 77},
		{Odds{MemberWinsOnce, 3, 22, twentyTwo}, 1, 54347, 340340},
		{Odds{MemberWinsOnce, 3, 22, twentyTwo}, 4, 108127, 204204},
		{Odds{MemberWinsOnce, 3, 22, twentyTwo}, 5, 1605, 2618},
		{Odds{MemberWinsOnce, 1, 4, three}, 2, 1, 2},
		{Odds{MemberWinsOnce, 1, 4, three}, 1, 1, 4},
		{Odds{MemberWinsOnce, 2, 4, three}, 2, 5, 6},
		{Odds{MemberWinsOnce, 2, 4, three}, 1, 7, 12},
		{Odds{MemberWinsOnce, 3, 4, three}, 1, 1, 1},
		{Odds{EntryWins, 3, 4, nil}, 2, 1, 1},
		{Odds{EntryWins, 2, 4, nil}, 2, 5, 6},
		{Odds{EntryWins, 5, 4, nil}, 1, 1, 1},
		{Odds{EntryWins, 3, 22, nil}, 0, 0, 1},
		{Odds{MemberWinsOnce, 3, 22, twentyTwo}, 0, 0, 1},
		{Odds{EntryWins, 0, 0, nil}, 0, 0, 1},
		{Odds{EntryWins, 5, 4, nil}, 0, 0, 1},
	} {
		want, _ := big.NewRat(c.num, c.den).Float64()
		got, err := Own(c.odds, c.entries)
		if err != nil || math.Abs(got-want) > 1e-15 {
			t.Errorf("%+v with %d entries: %v, %v, want %d/%d = %v", c.odds, c.entries, got, err, c.num, c.den, want)
		}
	}
}

func TestIfEntered_CountsTheEntryOnBothSides(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		odds    Odds
		entries int64
		want    float64
	}{
		{Odds{EntryWins, 1, 42, nil}, 0, 1.0 / 43},
		{Odds{EntryWins, 1, 0, nil}, 0, 1},
		{Odds{EntryWins, 3, 21, nil}, 4, 43.0 / 77},
		{Odds{MemberWinsOnce, 3, 21, []Class{{1, 5}, {4, 4}}}, 4, 1605.0 / 2618},
		{Odds{MemberWinsOnce, 3, 21, []Class{{1, 4}, {4, 3}, {5, 1}}}, 0, 54347.0 / 340340},
		{Odds{MemberWinsOnce, 3, 21, []Class{{1, 6}, {3, 1}, {4, 3}}}, 3, 0},
	} {
		if c.want == 0 {
			c.want = memberWinsOnce([]Class{{1, 6}, {4, 3}}, 3, 4)
		}
		got, err := IfEntered(c.odds, c.entries)
		if err != nil || math.Abs(got-c.want) > 1e-15 {
			t.Errorf("%+v after %d entries: %v, %v, want %v", c.odds, c.entries, got, err, c.want)
		}
	}
}

func TestOwn_RefusesWhatCantBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		odds    Odds
		entries int64
	}{
		{Odds{EntryWins, 1, 42, nil}, 43},
		{Odds{EntryWins, 1, 42, nil}, -1},
		{Odds{EntryWins, -1, 42, nil}, 1},
		{Odds{MemberWinsOnce, 3, 22, twentyTwo}, 2},
		{Odds{MemberWinsOnce, 3, 22, nil}, 2},
	} {
		if p, err := Own(c.odds, c.entries); err == nil {
			t.Errorf("%+v with %d entries: %v", c.odds, c.entries, p)
		}
	}
}

// Exactly W members win, so the chances of all members sum up to W. Each class of a large
// raffle has a share in it that an error would show in.
func TestOwn_SumsUpToTheWinners(t *testing.T) {
	t.Parallel()
	var million []Class
	for k := int64(1); k <= 10; k++ {
		million = append(million, Class{k, 190_000 - 16_363*k})
	}
	for _, c := range []struct {
		holders []Class
		winners int64
	}{
		{twentyTwo, 1},
		{twentyTwo, 8},
		{[]Class{{1, 1}, {100, 1}}, 1},
		{[]Class{{1, 1000}, {100, 1}}, 500},
		{[]Class{{1, 500_000}, {100, 500_000}}, 500_000},
		{[]Class{{1, 500_000}, {100, 500_000}}, 999_999},
		{million, 1},
		{million, 10},
		{million, 1000},
		{million, 100_000},
	} {
		var entries int64
		for _, class := range c.holders {
			entries += class.Entries * class.Members
		}
		sum := 0.0
		for _, class := range c.holders {
			p, err := Own(Odds{MemberWinsOnce, c.winners, entries, c.holders}, class.Entries)
			if err != nil || p < 0 || p > 1 {
				t.Fatal(p, err)
			}
			sum += p * float64(class.Members)
		}
		if off := sum/float64(c.winners) - 1; math.Abs(off) > 1e-12 {
			t.Errorf("%v: the chances sum up to %v, %g off %d", c.holders, sum, off, c.winners)
		}
	}
}

func BenchmarkOwn(b *testing.B) {
	var holders []Class
	var entries int64
	for k := int64(1); k <= 10; k++ {
		holders = append(holders, Class{k, 100_000})
		entries += k * 100_000
	}
	for b.Loop() {
		if _, err := Own(Odds{MemberWinsOnce, 1000, entries, holders}, 5); err != nil {
			b.Fatal(err)
		}
	}
}
