package draw

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Vacant stands for the ticket of a place that nobody has. Record 0 is no entry.
const Vacant = 0

// Drawing is a drawing that was carried out.
type Drawing struct {
	Number     int // from 1
	Round      uint64
	Signature  []byte  // of the round
	Randomness string  // of the round, in hexadecimal
	Text       string  // eight lines
	Seed       string  // SHA-256 of Text, in hexadecimal
	Tickets    []int64 // in the order in which they were drawn
}

// apply carries out the drawing that lies ahead.
func (r Draw) apply(l *Log, _ []byte) error {
	next := l.announced
	if next == nil || r.Drawing != next.drawing || r.Round != next.round {
		return fmt.Errorf("no drawing %d from round %d lies ahead", r.Drawing, r.Round)
	}
	if l.chain != nil {
		if err := l.chain.Verify(r.Round, r.Signature); err != nil {
			return err
		}
	}
	d := Drawing{Number: r.Drawing, Round: r.Round, Signature: r.Signature, Randomness: Randomness(r.Signature)}
	d.Text = fmt.Sprintf("rafflecast draw\n%sdrawing %d\ndrand %s\nround %d\nrandomness %s\n",
		next.head, d.Number, l.rules.Chain, d.Round, d.Randomness)
	d.Seed = fmt.Sprintf("%x", sha256.Sum256([]byte(d.Text)))
	want := 0
	for _, ticket := range l.places {
		if ticket == Vacant {
			want++
		}
	}
	if d.Number == 1 {
		want += int(l.rules.Alternates)
	}
	d.Tickets = l.choose(want, words(d.Seed))
	l.place(d.Tickets)
	l.drawings, l.announced = append(l.drawings, d), nil
	return nil
}

// source is where the numbers of a drawing come from.
type source struct {
	word func(j uint64) uint64 // the j-th word, uniform from 0 to max
	max  uint64
}

// words returns the words of a seed: the first 64 bits of SHA-256(seed + " " + j).
func words(seed string) source {
	text := append([]byte(seed), ' ')
	return source{max: math.MaxUint64, word: func(j uint64) uint64 {
		hash := sha256.Sum256(strconv.AppendUint(text, j, 10))
		return binary.BigEndian.Uint64(hash[:])
	}}
}

// number returns the j-th number from 0 to n-1, unless its word is one of the few at the
// end that would make some numbers likelier than others.
func (s source) number(j, n uint64) (number uint64, ok bool) {
	word, surplus := s.word(j), (s.max%n+1)%n
	return word % n, word <= s.max-surplus
}

// choose draws up to want tickets, and marks them and their members as drawn.
func (l *Log) choose(want int, from source) (tickets []int64) {
	left := l.entries - l.drawnTickets
	if l.rules.Rule == MemberWinsOnce {
		left = l.holders - l.drawnMembers
	}
	want = int(min(int64(want), left))
	for j := uint64(0); len(tickets) < want; j++ {
		number, ok := from.number(j, uint64(l.size))
		if !ok {
			continue
		}
		ticket := int64(number)
		if l.passOver(ticket) == "" {
			l.markDrawn(ticket)
			tickets = append(tickets, ticket)
		}
	}
	return tickets
}

// passOver says why a ticket can't win; it is empty if it can.
func (l *Log) passOver(ticket int64) string {
	t := l.tickets[ticket]
	switch {
	case t == 0:
		return "no entry"
	case t&withdrawnFlag != 0:
		return "withdrawn"
	case t&drawnFlag != 0:
		return "drawn before"
	case l.rules.Rule == MemberWinsOnce && l.members.get(t-1).drawn:
		return "its member was drawn before"
	}
	return ""
}

func (l *Log) markDrawn(ticket int64) {
	m := l.members.get(l.tickets[ticket] - 1)
	if !m.drawn {
		m.drawn = true
		l.drawnMembers++
	}
	l.tickets[ticket] |= drawnFlag
	l.drawnTickets++
}

// place gives each ticket the first vacant place of a prize, in the rules' order. Where
// none is vacant it becomes the last alternate.
func (l *Log) place(tickets []int64) {
	at := 0
	for _, ticket := range tickets {
		for at < len(l.places) && l.places[at] != Vacant {
			at++
		}
		if at < len(l.places) {
			l.places[at] = ticket
		} else {
			l.alternates = append(l.alternates, ticket)
		}
	}
}

// apply takes a ticket's place. The first alternate takes exactly that place.
func (s Strike) apply(l *Log, _ []byte) error {
	if l.announced != nil {
		return errors.New("nobody can be disqualified while a drawing lies ahead")
	}
	if at := slices.Index(l.alternates, s.Ticket); at >= 0 {
		l.alternates = slices.Delete(l.alternates, at, at+1)
	} else if at := slices.Index(l.places, s.Ticket); at >= 0 {
		l.places[at] = Vacant
		if len(l.alternates) > 0 {
			l.places[at], l.alternates = l.alternates[0], l.alternates[1:]
		}
	} else {
		return fmt.Errorf("ticket %d has no place", s.Ticket)
	}
	l.caution("ticket %d was disqualified: %s", s.Ticket, s.Reason)
	return nil
}

// Drawings returns the drawings that were carried out. The caller must not change them.
func (l *Log) Drawings() []Drawing { return l.drawings }

// Winners returns the tickets that have the places of each prize, in the rules' order;
// Vacant where nobody has it.
func (l *Log) Winners() [][]int64 {
	if l.closed == nil {
		return nil
	}
	var prizes [][]int64
	at := 0
	for _, p := range l.rules.Prizes {
		prizes = append(prizes, l.places[at:at+int(p.Count):at+int(p.Count)])
		at += int(p.Count)
	}
	return prizes
}

// Alternates returns the alternates, the next one first.
func (l *Log) Alternates() []int64 { return l.alternates }
