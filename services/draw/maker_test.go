package draw_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/drand"
	"github.com/rafflecast/rafflecast/services/draw/publish"
)

// maker makes raffles.
type maker struct {
	t      *testing.T
	random *mathrand.Rand
	chain  *drand.Development
	signer note.Signer
	key    string
}

func newMaker(t *testing.T, seed uint64) *maker {
	t.Helper()
	chain, err := drand.NewDevelopment(bytes.Repeat([]byte{7}, 32), time.Unix(1e9, 0), 3*time.Second, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	secret, key, err := note.GenerateKey(rand.Reader, "raffles.test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return &maker{t, mathrand.New(mathrand.NewPCG(seed, 0)), chain, signer, key}
}

// raffle is a raffle that is being made.
type raffle struct {
	*maker
	log     *draw.Log
	records [][]byte
	heads   []draw.Checkpoint
}

func (r *raffle) add(record draw.Record) {
	r.t.Helper()
	b, err := draw.Encode(record)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.log.Append(b); err != nil {
		r.t.Fatalf("%+v: %v", record, err)
	}
	r.records = append(r.records, b)
	r.heads = append(r.heads, r.log.Head())
}

func (m *maker) make() *raffle {
	r := &raffle{maker: m, log: draw.NewLog("raffles.test/raffle/1", m.chain.Chain())}
	if m.random.IntN(5) == 0 {
		r.add(draw.Restored{SeenSize: 7, SeenRoot: draw.Hash{9}})
	}
	rules := draw.Rules{
		Format: draw.Format, Raffle: 1, Title: []string{"Guitar", "<ギター> & \u2028\"", ""}[m.random.IntN(3)],
		Rule:                []draw.Rule{draw.EntryWins, draw.MemberWinsOnce}[m.random.IntN(2)],
		MaxEntriesPerMember: 1 + m.random.Int64N(4), Alternates: m.random.Int64N(3),
		Chain: m.chain.Chain().Hash, DelaySeconds: []int64{10, 60, 100}[m.random.IntN(3)],
	}
	for range 1 + m.random.IntN(3) {
		rules.Prizes = append(rules.Prizes, draw.Prize{Name: "Prize", Count: 1 + m.random.Int64N(3)})
	}
	r.add(rules)
	r.enter(rules)
	if m.random.IntN(4) == 0 {
		at := draw.Time(1.7e15 + m.random.Int64N(1e12))
		rules.Title, rules.ClosesAt = "Violin", &at
		r.add(rules)
	}
	r.close(rules)
	for range m.random.IntN(4) {
		r.disqualify()
		if slices.ContainsFunc(r.log.Winners(), func(p []int64) bool { return slices.Contains(p, draw.Vacant) }) && m.random.IntN(3) > 0 {
			r.redraw(rules)
		}
	}
	return r
}

// enter adds entries of some members, and some withdrawals.
func (r *raffle) enter(rules draw.Rules) {
	live := map[string][]int64{}
	ordinals := map[string]uint32{}
	for range r.random.IntN(40) {
		member := fmt.Sprintf("member-%d", r.random.IntN(12))
		tickets := live[member]
		switch {
		case len(tickets) > 0 && r.random.IntN(5) == 0:
			r.add(draw.Withdrawal{Ticket: tickets[0]})
			live[member] = tickets[1:]
		case int64(len(tickets)) < rules.MaxEntriesPerMember:
			ordinals[member]++
			live[member] = append(tickets, r.log.Head().Size)
			r.add(draw.Entry{Ordinal: ordinals[member], Tag: draw.TagOf(r.log.Head().Origin, member, opening(member))})
		}
	}
}

func opening(member string) draw.Opening { return publish.NewOpenings([]byte("key")).Of(member) }

func (r *raffle) close(rules draw.Rules) {
	body, err := draw.Encode(rules)
	if err != nil {
		r.t.Fatal(err)
	}
	at := draw.Time(1.7e15 + r.random.Int64N(1e12))
	round := r.chain.Chain().RoundAt(at + draw.Time(rules.DelaySeconds*1e6))
	entries, members := r.log.Counts()
	r.add(draw.Close{ClosedAt: at, Drawing: 1, Round: round, Entries: entries, Members: members, Rules: body[1:]})
	r.add(draw.Draw{Drawing: 1, Round: round, Signature: r.chain.Signature(round)})
}

func (r *raffle) disqualify() {
	var tickets []int64
	for _, ticket := range slices.Concat(append(r.log.Winners(), r.log.Alternates())...) {
		if ticket != draw.Vacant {
			tickets = append(tickets, ticket)
		}
	}
	if len(tickets) > 0 {
		r.add(draw.Strike{Ticket: tickets[r.random.IntN(len(tickets))], Reason: draw.Reasons[r.random.IntN(5)]})
	}
}

func (r *raffle) redraw(rules draw.Rules) {
	drawings := r.log.Drawings()
	last := drawings[len(drawings)-1]
	at := r.chain.Chain().TimeOf(last.Round) + draw.Time(r.random.Int64N(1e9))
	round := r.chain.Chain().RoundAt(at + draw.Time(rules.DelaySeconds*1e6))
	r.add(draw.Redraw{At: at, Drawing: last.Number + 1, Round: round})
	r.add(draw.Draw{Drawing: last.Number + 1, Round: round, Signature: r.chain.Signature(round)})
}

// breaks are ways to break a log. Most are signed afterwards, so that only the records
// themselves are wrong.
var breaks = map[string]func(r *raffle, i int){
	"nothing": func(*raffle, int) {},
	"flipped": func(r *raffle, i int) { r.records[i][r.random.IntN(len(r.records[i]))] ^= 1 << r.random.IntN(8) },
	"dropped": func(r *raffle, i int) { r.records = slices.Delete(r.records, i, i+1) },
	"doubled": func(r *raffle, i int) { r.records = slices.Insert(r.records, i, r.records[i]) },
	"moved": func(r *raffle, i int) {
		j := r.random.IntN(len(r.records))
		r.records[i], r.records[j] = r.records[j], r.records[i]
	},
	"cut":       func(r *raffle, i int) { r.records[i] = r.records[i][:1+r.random.IntN(len(r.records[i]))] },
	"cut off":   func(r *raffle, i int) { r.records = r.records[:i+1] },
	"digit":     func(r *raffle, i int) { r.replace(i, "1", "2") },
	"spaced":    func(r *raffle, i int) { r.replace(i, ",", " ,\n") },
	"fraction":  func(r *raffle, i int) { r.replace(i, ":1", ":1.0") },
	"negative":  func(r *raffle, i int) { r.replace(i, ":1", ":-1") },
	"zero":      func(r *raffle, i int) { r.replace(i, ":1", ":-0") },
	"huge":      func(r *raffle, i int) { r.replace(i, ":1", ":18446744073709551616") },
	"escaped":   func(r *raffle, i int) { r.replace(i, "Prize", `Pr\u0069ze`) },
	"surrogate": func(r *raffle, i int) { r.replace(i, "Prize", `\ud83d`) },
	"field":     func(r *raffle, i int) { r.replace(i, `{"`, `{"x":1,"`) },
	"null":      func(r *raffle, i int) { r.replace(i, `:1`, `:null`) },
	"time":      func(r *raffle, i int) { r.replace(i, `00000Z`, `Z`) },
	"byte order": func(r *raffle, i int) {
		r.records[i] = slices.Concat(r.records[i][:1], []byte("\ufeff"), r.records[i][1:])
	},
	"not UTF-8": func(r *raffle, i int) { r.replace(i, "Pri", "\xff") },
}

func (r *raffle) replace(i int, old, changed string) {
	r.records[i] = bytes.Replace(r.records[i], []byte(old), []byte(changed), 1)
}
