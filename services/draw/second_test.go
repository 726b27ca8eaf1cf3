package draw_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/chance"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

// These tests compare this package with the second implementation, the page's, on raffles
// that are made at random from a fixed seed. Some of them are broken.

const (
	secondRaffles = 50
	secondChances = 150
)

// verdict is what both implementations say of a raffle.
type verdict struct {
	Outcome    draw.Outcome `json:"outcome"`
	Checks     []string     `json:"checks"` // "outcome name"
	Cautions   int          `json:"cautions"`
	Drawn      [][]int64    `json:"drawn"`
	Winners    [][]int64    `json:"winners"`
	Alternates []int64      `json:"alternates"`
	Tickets    []int64      `json:"tickets"`
}

// secondInput is a raffle as the second implementation gets it.
type secondInput struct {
	Log        draw.HexBytes `json:"log"`
	Checkpoint string        `json:"checkpoint"`
	Key        string        `json:"key"`
	Kept       []string      `json:"kept"`
	Member     string        `json:"member"`
	Opening    draw.HexBytes `json:"opening"`

	what string // how it is broken
}

// secondOdds are odds with a member's entries, as the second implementation gets them.
type secondOdds struct {
	Rule    chance.Rule `json:"rule"`
	Winners int64       `json:"winners"`
	Entries int64       `json:"entries"`
	Holders []holders   `json:"holders"`
	Mine    int64       `json:"mine"`
}

// holders are a class of an event's holders.
type holders struct {
	Entries int64 `json:"entries"`
	Members int64 `json:"members"`
}

// second runs the second implementation.
func second(t *testing.T, input, output any) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must have node")
		}
		t.Skip("this machine lacks node: `make test` installs it where it can")
	}
	modules, err := filepath.Abs("../gateway/web/draw")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "--experimental-default-type=module", "testdata/second.mjs", modules)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, output); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// input signs the raffle, which may be broken.
func (r *raffle) input() secondInput {
	kinds := make([]string, 0, len(breaks))
	for what := range breaks {
		kinds = append(kinds, what)
	}
	slices.Sort(kinds)
	what := kinds[r.random.IntN(len(kinds))]
	i := r.random.IntN(len(r.records))
	if r.random.IntN(2) == 0 { // JSON, rather than one of the many entries
		i = slices.IndexFunc(r.records, func(b []byte) bool { return b[0] != 2 && b[0] != 3 && r.random.IntN(4) == 0 })
		i = max(i, 0)
	}
	for n := range r.records {
		r.records[n] = bytes.Clone(r.records[n])
	}
	breaks[what](r, i)
	var tree draw.Tree
	in := secondInput{Key: r.key, what: fmt.Sprintf("record %d: %s", i, what), Member: "member-3"}
	for _, b := range r.records {
		in.Log = logfile.Append(in.Log, b)
		tree.Append(draw.LeafHash(b))
	}
	own := opening(in.Member)
	in.Opening = own[:]
	signed := draw.Checkpoint{Origin: "raffles.test/raffle/1", Size: max(tree.Size, 1), Root: tree.Root()}
	if r.random.IntN(10) == 0 {
		signed.Origin = []string{"other.test/raffle/1", "raffles.test/raffle/2", "raffles.test/raffle/1/2", "raffles.test"}[r.random.IntN(4)]
		in.what += ", checkpoint for " + signed.Origin
	}
	in.Checkpoint = r.sign(signed)
	for range r.random.IntN(3) {
		in.Kept = append(in.Kept, r.sign(r.heads[r.random.IntN(len(r.heads))]))
	}
	return in
}

func (r *raffle) sign(c draw.Checkpoint) string {
	r.t.Helper()
	signed, err := c.Sign(r.signer)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(signed)
}

// first is the verdict of this package.
func (m *maker) first(in secondInput) verdict {
	var kept [][]byte
	for _, text := range in.Kept {
		kept = append(kept, []byte(text))
	}
	r := draw.Verify(draw.Input{
		Records: logfile.Records(bytes.NewReader(in.Log)), Checkpoint: []byte(in.Checkpoint), Key: in.Key, Saved: kept,
		Chains: []*draw.Chain{m.chain.Chain()}, Member: in.Member, Opening: draw.Opening(in.Opening),
	})
	v := verdict{Outcome: r.Outcome, Cautions: len(r.Cautions), Winners: r.Winners, Alternates: r.Alternates, Tickets: r.Tickets}
	for _, c := range r.Checks {
		name, _, _ := strings.Cut(c.Text, ":")
		v.Checks = append(v.Checks, string(c.Outcome)+" "+name)
	}
	if r.Log != nil {
		for _, d := range r.Log.Drawings() {
			v.Drawn = append(v.Drawn, d.Tickets)
		}
	}
	return v
}

func TestVerify_AgreesWithTheSecondImplementation(t *testing.T) {
	t.Parallel()
	m := newMaker(t, 1)
	var inputs []secondInput
	for range secondRaffles {
		inputs = append(inputs, m.make().input())
	}
	var verdicts []verdict
	second(t, map[string]any{"chain": m.chain.Chain(), "raffles": inputs}, &verdicts)
	if len(verdicts) != len(inputs) {
		t.Fatalf("%d verdicts for %d raffles", len(verdicts), len(inputs))
	}
	outcomes := map[draw.Outcome]int{}
	for i, in := range inputs {
		first := m.first(in)
		outcomes[first.Outcome]++
		if a, b := normal(t, first), normal(t, verdicts[i]); a != b {
			t.Errorf("raffle %d, %s:\nfirst  %s\nsecond %s", i, in.what, a, b)
		}
	}
	if outcomes[draw.True] < secondRaffles/10 || outcomes[draw.False] < secondRaffles/10 {
		t.Errorf("the raffles are too much alike: %v", outcomes)
	}
}

// normal returns a verdict as text in which no list is null.
func normal(t *testing.T, v verdict) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "null", "[]")
}

func TestOwn_AgreesWithTheSecondImplementation(t *testing.T) {
	t.Parallel()
	random := mathrand.New(mathrand.NewPCG(2, 0))
	var all []secondOdds
	for range secondChances {
		o := secondOdds{Rule: chance.EntryWins, Winners: 1 + random.Int64N(1<<random.IntN(12))}
		for k := int64(1); k <= 1+random.Int64N(12); k++ {
			if members := random.Int64N(1 << random.IntN(16)); members > 0 {
				o.Holders = append(o.Holders, holders{k, members})
				o.Entries += k * members
				o.Mine = k
			}
		}
		if o.Mine == 0 {
			continue
		}
		if random.IntN(4) > 0 {
			o.Rule = chance.MemberWinsOnce
		}
		all = append(all, o)
	}
	var got [][2]float64
	second(t, map[string]any{"odds": all}, &got)
	if len(got) != len(all) {
		t.Fatalf("%d answers for %d odds", len(got), len(all))
	}
	for i, o := range all {
		odds := chance.Odds{Rule: o.Rule, Winners: o.Winners, Entries: o.Entries}
		for _, h := range o.Holders {
			odds.Holders = append(odds.Holders, chance.Class(h))
		}
		own, err := chance.Own(odds, o.Mine)
		if err != nil {
			t.Fatal(err)
		}
		next, err := chance.IfEntered(odds, o.Mine)
		if err != nil {
			t.Fatal(err)
		}
		for j, first := range []float64{own, next} {
			if math.Abs(got[i][j]-first) > 1e-12*first {
				t.Errorf("%+v: %v, the second implementation says %v", o, first, got[i][j])
			}
		}
	}
}
