package raffle

import "slices"

// Rule says what may win, if members can have several entries. Its numbers are stored
// in the database, and they equal those of raffle.v1.Raffle.Rule.
type Rule int16

// The rules.
const (
	EntryWins      Rule = 1 // each entry can win
	MemberWinsOnce Rule = 2 // a member wins at most once
)

// String returns the rule's name as users see it.
func (r Rule) String() string {
	switch r {
	case EntryWins:
		return "ENTRY_WINS"
	case MemberWinsOnce:
		return "MEMBER_WINS_ONCE"
	}
	return "UNSPECIFIED"
}

// Prize is one kind of prize.
type Prize struct {
	Name  string
	Count int32 // at least 1
}

// Details are what organisers say about a raffle, besides its title. They are not
// changed in place: raffles share them.
type Details struct {
	Description string
	PictureURL  string
	Prizes      []Prize // in the order in which they are drawn; none: the winners are alike
}

// noDetails are the details of a raffle that has none.
var noDetails = &Details{}

// About returns the raffle's details, which may be empty but not nil.
func (r *Raffle) About() *Details {
	if r.Details == nil {
		return noDetails
	}
	return r.Details
}

func (d *Details) equal(other *Details) bool {
	return d.Description == other.Description && d.PictureURL == other.PictureURL && slices.Equal(d.Prizes, other.Prizes)
}

// SetDetails sets the details of a raffle that is to be made, and its winners by its
// prizes. It fails with *WinnersError if the winners are set and are not those.
func (r *Raffle) SetDetails(d Details) error {
	return r.describe(&Change{Description: &d.Description, PictureURL: &d.PictureURL, Prizes: &d.Prizes, Winners: positive(r.Winners)})
}

func positive(n int32) *int32 {
	if n <= 0 {
		return nil
	}
	return &n
}

// MaxWinners bounds the winners of a raffle.
const MaxWinners = 1_000_000

// places returns how many winners prizes have, or 0 if there are no prizes.
func places(prizes []Prize) (n int32) {
	for _, p := range prizes {
		n += p.Count
	}
	return n
}

// Holders counts the members that have the same number of entries. Only the
// transaction that has loaded it changes it; once that is done, raffles share it.
type Holders struct {
	counts []int64 // of members with 1, 2 and so on entries
}

// NewHolders returns holders with these counts: of the members with one entry, and so on.
func NewHolders(counts []int64) *Holders { return &Holders{counts} }

// Counts returns how many members have one entry, and so on. The caller must not change it.
func (h *Holders) Counts() []int64 {
	if h == nil {
		return nil
	}
	return h.counts
}

// move counts that a member went from one number of entries to another. A nil h counts
// nothing.
func (h *Holders) move(from, to int32) {
	if h == nil {
		return
	}
	if from > 0 && int(from) <= len(h.counts) {
		h.counts[from-1]--
	}
	for int(to) > len(h.counts) {
		h.counts = append(h.counts, 0)
	}
	if to > 0 {
		h.counts[to-1]++
	}
}
