package draw

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"testing"

	"github.com/rafflecast/rafflecast/services/draw/chance"
)

// These tests show that the chances that package chance states are those with which
// tickets are drawn.

// undo takes the log back to its close.
func (l *Log) undo() {
	for i := range l.tickets {
		l.tickets[i] &^= drawnFlag
	}
	for i := range l.members.count {
		l.members.get(i).drawn = false
	}
	l.drawnTickets, l.drawnMembers = 0, 0
}

// tree explores all that choose can do: at each word it asks for, every word there is.
type tree struct {
	log  *Log
	want int
	max  uint64
	wins []*big.Rat // by member
}

type wordMissing struct{}

// explore adds the chances of all drawings whose first words are given. chance is that
// of these words, given that no word is rejected or passed over: such a word changes
// nothing, so the next one decides.
func (tr *tree) explore(words []uint64, chance *big.Rat) {
	var accepted []uint64
	for word := range tr.max + 1 {
		if drawn, _ := tr.run(append(words, word)); len(drawn) > len(words) {
			accepted = append(accepted, word)
		}
	}
	each := new(big.Rat).Mul(chance, big.NewRat(1, int64(len(accepted))))
	for _, word := range accepted {
		next := slices.Concat(words, []uint64{word})
		drawn, complete := tr.run(next)
		if !complete {
			tr.explore(next, each)
			continue
		}
		won := map[uint32]bool{}
		for _, ticket := range drawn {
			won[tr.log.tickets[ticket]&memberMask-1] = true
		}
		for member := range won {
			tr.wins[member].Add(tr.wins[member], each)
		}
	}
}

// run draws with the given words, and returns the tickets that they drew and whether they
// were enough.
func (tr *tree) run(words []uint64) (drawn []int64, complete bool) {
	tr.log.undo()
	defer func() {
		if missing := recover(); missing != nil {
			if _, ok := missing.(wordMissing); !ok {
				panic(missing)
			}
			drawn = make([]int64, tr.log.drawnTickets)
		}
	}()
	drawn = tr.log.choose(tr.want, source{max: tr.max, word: func(j uint64) uint64 {
		if j >= uint64(len(words)) {
			panic(wordMissing{})
		}
		return words[j]
	}})
	return drawn, true
}

// partitions calls f with each way to write n as a sum of falling numbers up to most.
func partitions(n, most int, parts []int, f func([]int)) {
	if n == 0 {
		f(parts)
	}
	for part := min(n, most); part > 0; part-- {
		partitions(n-part, part, append(parts, part), f)
	}
}

// exact returns the chance of a member with k entries beside others, by the definition of
// the rule, tree by tree.
func exact(rule Rule, others []int, w, k int) *big.Rat {
	total := k
	for _, n := range others {
		total += n
	}
	if w == 0 {
		return new(big.Rat)
	}
	chance := big.NewRat(int64(k), int64(total))
	for i, n := range others {
		left := append(append([]int{}, others[:i]...), others[i+1:]...)
		if rule == EntryWins && n > 1 {
			left = append(left, n-1)
		}
		chance.Add(chance, new(big.Rat).Mul(big.NewRat(int64(n), int64(total)), exact(rule, left, w-1, k)))
	}
	return chance
}

// shown returns what package chance shows a member with k entries.
func shown(t testing.TB, rule Rule, entries []int, w, k int) float64 {
	t.Helper()
	odds := chance.Odds{Rule: chance.Rule(rule), Winners: int64(w)}
	classes := map[int]int64{}
	for _, n := range entries {
		odds.Entries += int64(n)
		classes[n]++
	}
	for n, members := range classes {
		odds.Holders = append(odds.Holders, chance.Class{Entries: int64(n), Members: members})
	}
	p, err := chance.Own(odds, int64(k))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSelection_HasTheShownChancesExactly(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 6; n++ {
		partitions(n, 3, nil, func(entries []int) {
			for _, rule := range []Rule{EntryWins, MemberWinsOnce} {
				for w := 1; w <= 3; w++ {
					checkTree(t, rule, entries, w)
				}
			}
		})
	}
}

func checkTree(t *testing.T, rule Rule, entries []int, w int) {
	t.Helper()
	l := closedLog(t, testRules(rule, int64(w), 3, 0), entries...)
	tr := &tree{log: l, want: w, max: 1<<bits.Len64(uint64(l.size)) - 1}
	for range entries {
		tr.wins = append(tr.wins, new(big.Rat))
	}
	tr.explore(nil, big.NewRat(1, 1))
	for i, k := range entries {
		others := append(append([]int{}, entries[:i]...), entries[i+1:]...)
		want := exact(rule, others, w, k)
		what := fmt.Sprintf("%s, entries %v, %d prizes, member %d", rule, entries, w, i)
		if tr.wins[i].Cmp(want) != 0 {
			t.Fatalf("%s: drawn with chance %v, by the rule %v", what, tr.wins[i], want)
		}
		f, _ := want.Float64()
		if got := shown(t, rule, entries, w, k); math.Abs(got-f) > 1e-15 {
			t.Errorf("%s: shown %v, drawn with %v", what, got, f)
		}
	}
}

// Of 22 tickets three win: five members have one, three have four, one has five.
func TestSelection_HasTheShownChancesOverManySeeds(t *testing.T) {
	t.Parallel()
	const draws = 200_000
	entries := []int{1, 1, 1, 1, 1, 4, 4, 4, 5}
	l := closedLog(t, testRules(MemberWinsOnce, 3, 5, 0), entries...)
	wins := make([]float64, len(entries))
	for i := range draws {
		l.undo()
		for _, ticket := range l.choose(3, words(fmt.Sprintf("seed %d", i))) {
			wins[l.tickets[ticket]&memberMask-1]++
		}
	}
	z := func(member int, p float64) float64 {
		return (wins[member] - draws*p) / math.Sqrt(draws*p*(1-p))
	}
	for member, k := range entries {
		if p := shown(t, MemberWinsOnce, entries, 3, k); math.Abs(z(member, p)) > 4.9 {
			t.Errorf("member %d with %d entries won %v of %d, shown %v: z = %.1f", member, k, wins[member], draws, p, z(member, p))
		}
	}
	// The formula of ENTRY_WINS is not that of this rule, and so many draws tell.
	if p := shown(t, EntryWins, entries, 3, 5); math.Abs(z(8, p)) < 40 {
		t.Errorf("the other rule's %v for five entries is off by z = %.1f only", p, z(8, p))
	}
}
