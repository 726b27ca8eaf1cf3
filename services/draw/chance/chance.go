// Package chance calculates a member's own chance of at least one prize, from the numbers
// that every odds event carries.
//
// The three rules, with W prizes, N entries and k of them the member's:
//
//   - One entry per member: W/N, since every set of W entries is drawn with the same
//     chance.
//
//   - ENTRY_WINS: 1 - C(N-k,W)/C(N,W), the complement of drawing W entries without any of
//     the member's: the hypergeometric distribution. The first rule is the case k = 1.
//
//   - MEMBER_WINS_ONCE: members are drawn one after the other, each with a chance in
//     proportion to its entries, without replacement (successive sampling). Let each
//     entry ring at an exponential time of rate 1, independently. The member whose entry
//     rings next is one with k entries with a chance in proportion to k, whatever
//     happened before, since exponential times have no memory; so members are drawn in
//     the order of their first rings. (J. Hájek, Sampling from a Finite Population,
//     1981, chapter 9, has both the method and this view of it.) A member wins if, when
//     it rings first, fewer than W others have rung:
//
//     ∫₀^∞ k·e^(-kt) · P(fewer than W of the others have rung by t) dt
//
// Functions are safe for concurrent use.
package chance

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Rule is the rule of a raffle, in the words of package draw.
type Rule string

// The rules.
const (
	EntryWins      Rule = "ENTRY_WINS"
	MemberWinsOnce Rule = "MEMBER_WINS_ONCE"
)

// Class is how many members have a number of entries.
type Class struct {
	Entries int64
	Members int64
}

// Odds is what a member's own chance depends on.
type Odds struct {
	Rule    Rule
	Winners int64   // prizes
	Entries int64   // that are not withdrawn
	Holders []Class // for MemberWinsOnce with several entries per member: all members, by ascending entries
}

// Own returns the chance that a member with this many entries wins a prize, from 0 to 1.
// The member's entries are among those of odds.
func Own(odds Odds, entries int64) (float64, error) {
	if entries < 0 || entries > odds.Entries || odds.Winners < 0 {
		return 0, fmt.Errorf("%d entries of %d can't win %d prizes", entries, odds.Entries, odds.Winners)
	}
	if odds.Rule == EntryWins || odds.Holders == nil && entries <= 1 {
		return entryWins(odds.Entries, odds.Winners, entries), nil
	}
	if len(odds.Holders) == 1 && odds.Holders[0].Entries == entries { // all members are alike
		return entryWins(odds.Holders[0].Members, odds.Winners, 1), nil
	}
	others, err := move(odds.Holders, entries, -1)
	if err != nil || entries == 0 {
		return 0, err
	}
	return memberWinsOnce(others, odds.Winners, entries), nil
}

// IfEntered returns the chance that the member will have with one entry more, if nobody
// else enters.
func IfEntered(odds Odds, entries int64) (float64, error) {
	odds.Entries++
	if odds.Holders != nil {
		others, err := move(odds.Holders, entries, -1)
		if err != nil {
			return 0, err
		}
		odds.Holders, _ = move(others, entries+1, 1)
	}
	return Own(odds, entries+1)
}

// move returns holders with one member more or less in the class of a number of entries.
func move(holders []Class, entries, members int64) ([]Class, error) {
	if entries == 0 {
		return holders, nil
	}
	moved := slices.Clone(holders)
	i := slices.IndexFunc(moved, func(c Class) bool { return c.Entries == entries })
	if i < 0 {
		moved = append(moved, Class{Entries: entries})
		i = len(moved) - 1
	}
	moved[i].Members += members
	if moved[i].Members < 0 {
		return nil, errors.New("the holders have no member with so many entries")
	}
	return moved, nil
}

// entryWins multiplies the chances that none of W draws is one of the k, which is the
// same as that none of the k is drawn, in logarithms, so that small chances keep their
// digits. It takes the shorter of the two products.
func entryWins(n, w, k int64) float64 {
	if k == 0 {
		return 0
	}
	if k+w > n {
		return 1
	}
	sum := 0.0
	for j := range min(k, w) {
		sum += math.Log1p(-float64(max(k, w)) / float64(n-j))
	}
	return -math.Expm1(sum)
}
