package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// wantFindings checks how much each list of f holds.
func wantFindings(t *testing.T, f *Findings, want map[string]int) {
	t.Helper()
	for _, l := range f.lists() {
		if got := len(*l.findings); got != want[l.name] {
			t.Errorf("%s: %d found, want %d: %q", l.name, got, want[l.name], *l.findings)
		}
	}
	if f.OK() != (len(want) == 0) {
		t.Errorf("OK reports %v", f.OK())
	}
}

func TestJudgeEntries_CountsEachFault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(sent map[string]*entry, rows *[]row)
		want   map[string]int
	}{
		"nothing is wrong":     {func(map[string]*entry, *[]row) {}, nil},
		"a lost entry":         {func(_ map[string]*entry, rows *[]row) { *rows = (*rows)[1:] }, map[string]int{"lost": 1}},
		"another ordinal":      {func(_ map[string]*entry, rows *[]row) { (*rows)[0].ordinal = 7 }, map[string]int{"lost": 1}},
		"another member":       {func(_ map[string]*entry, rows *[]row) { (*rows)[0].member = "x" }, map[string]int{"lost": 1}},
		"a lost withdrawal":    {func(_ map[string]*entry, rows *[]row) { (*rows)[1].withdrawn = false }, map[string]int{"lost": 1}},
		"an entry twice":       {func(_ map[string]*entry, rows *[]row) { *rows = append(*rows, (*rows)[0]) }, map[string]int{"doubled": 1}},
		"a stranger's entry":   {func(_ map[string]*entry, rows *[]row) { *rows = append(*rows, row{requestID: "z"}) }, map[string]int{"doubled": 1}},
		"a refused entry":      {func(sent map[string]*entry, _ *[]row) { sent["unanswered"].refused = "LIMIT" }, map[string]int{"doubled": 1}},
		"two answers to one":   {func(sent map[string]*entry, _ *[]row) { sent["a"].contradicted = true }, map[string]int{"doubled": 1}},
		"unanswered, no row":   {func(_ map[string]*entry, rows *[]row) { *rows = (*rows)[:2] }, nil},
		"refused, without row": {func(sent map[string]*entry, _ *[]row) { sent["refused"].refused = "LIMIT" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := map[string]*entry{
				"a":          {raffleID: 1, member: "m", ordinal: 1},
				"b":          {raffleID: 1, member: "m", ordinal: 2, withdrawn: true},
				"unanswered": {raffleID: 1, member: "m"},
				"refused":    {raffleID: 1, member: "m"},
			}
			rows := []row{
				{requestID: "a", raffleID: 1, member: "m", ordinal: 1},
				{requestID: "b", raffleID: 1, member: "m", ordinal: 2, withdrawn: true},
				{requestID: "unanswered", raffleID: 1, member: "m", ordinal: 3},
			}
			test.change(sent, &rows)
			f := NewFindings()
			f.judgeEntries(sent, rows)
			wantFindings(t, f, test.want)
			if f.Acknowledged != 2 {
				t.Errorf("%d are acknowledged", f.Acknowledged)
			}
		})
	}
}

func TestJudgeRaffles_CountsEachFault(t *testing.T) {
	t.Parallel()
	closed := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		change func(r *ruled, rows *[]row)
		want   int
	}{
		"nothing is wrong":      {func(*ruled, *[]row) {}, 0},
		"an entry not counted":  {func(r *ruled, _ *[]row) { r.Entries-- }, 1},
		"a member not counted":  {func(r *ruled, _ *[]row) { r.Members++ }, 1},
		"more than the limit":   {func(r *ruled, _ *[]row) { r.perMember = 1 }, 1},
		"at the end":            {func(r *ruled, _ *[]row) { r.closesAt = closed }, 1},
		"right before the end":  {func(r *ruled, _ *[]row) { r.closesAt = closed.Add(1) }, 0},
		"of no raffle":          {func(_ *ruled, rows *[]row) { *rows = append(*rows, row{raffleID: 2}) }, 1},
		"a withdrawal, counted": {func(_ *ruled, rows *[]row) { (*rows)[2].withdrawn = true }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ruled{odds: odds{ID: 1, Entries: 3, Members: 2}, perMember: 2}
			rows := []row{
				{raffleID: 1, member: "a"},
				{raffleID: 1, member: "a", createdAt: closed},
				{raffleID: 1, member: "b"},
				{raffleID: 1, member: "a", withdrawn: true},
			}
			test.change(&r, &rows)
			f := NewFindings()
			f.judgeRaffles(map[int64]ruled{1: r}, rows)
			if len(f.Doubled) != test.want {
				t.Errorf("%d found, want %d: %q", len(f.Doubled), test.want, f.Doubled)
			}
		})
	}
}

func TestJudgeList_FindsGhostsAndWhatIsMissing(t *testing.T) {
	t.Parallel()
	want := map[int64]odds{1: {ID: 1, Version: 5, Epoch: "a"}, 2: {ID: 2, Version: 1}}
	ghosts, missing := judgeList([]odds{want[1], want[2]}, want)
	if len(ghosts)+len(missing) != 0 {
		t.Errorf("nothing is wrong, found %q %q", ghosts, missing)
	}
	ghosts, missing = judgeList([]odds{want[1], {ID: 3, Version: 1}}, want)
	if len(ghosts) != 1 || len(missing) != 1 || !strings.Contains(missing[0], "raffle 2") {
		t.Errorf("raffle 3 instead of 2: found %q %q", ghosts, missing)
	}
	for _, other := range []odds{{ID: 1, Version: 4, Epoch: "a"}, {ID: 1, Version: 5, Epoch: "b"}, {ID: 1, Version: 5, Epoch: "a", Entries: 1}} {
		if ghosts, _ := judgeList([]odds{other, want[2]}, want); len(ghosts) != 1 {
			t.Errorf("%v: found %q", other, ghosts)
		}
	}
}

func TestUnclosed_FindsRafflesPastTheirEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, test := range []struct {
		state    string
		closesAt time.Time
		want     int
	}{{"OPEN", now.Add(-1), 1}, {"OPEN", now.Add(1), 0}, {"CLOSED", now.Add(-1), 0}, {"OPEN", time.Time{}, 0}} {
		r := ruled{odds: odds{ID: 1, State: test.state}, closesAt: test.closesAt}
		if found := unclosed(map[int64]ruled{1: r}, now); len(found) != test.want {
			t.Errorf("%v: found %q", r, found)
		}
	}
}

func TestGrown_ComparesWithTheFirstQuietMoment(t *testing.T) {
	t.Parallel()
	first := usage{goroutines: 50, files: 100, connections: 60, heap: 10 << 20}
	for name, test := range map[string]struct {
		now  usage
		want bool
	}{
		"the same":          {first, false},
		"goroutines":        {usage{50 + moreGoroutines + 1, 100, 60, 10 << 20, 0}, true},
		"some goroutines":   {usage{50 + moreGoroutines, 100, 60, 10 << 20, 0}, false},
		"files":             {usage{50, 100 + moreFiles + 1, 60, 10 << 20, 0}, true},
		"files of clients":  {usage{50, 300, 260, 10 << 20, 0}, false},
		"memory":            {usage{50, 100, 60, 10<<20 + moreHeap + 1, 0}, true},
		"memory of clients": {usage{50, 200, 160, 10<<20 + moreHeap + 100*heapOfConnection, 0}, false},
		"fewer clients":     {usage{50, 41, 1, 10<<20 + moreHeap, 0}, false},
	} {
		if got := grown(first, test.now); (got != "") != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestParseUsage_ReadsMetrics(t *testing.T) {
	t.Parallel()
	const text = `# HELP go_goroutines Number of goroutines that currently exist.
go_goroutines 42
process_open_fds 77
rafflecast_gateway_connections 60
rafflecast_gateway_connections_blocked 3
go_memstats_heap_alloc_bytes 1.048576e+06
rafflecast_participation_refused_connections_total{reason="banned"} 3
rafflecast_participation_refused_connections_total{reason="too_fast"} 5
`
	if got := parseUsage([]byte(text)); got != (usage{42, 77, 60, 1 << 20, 3}) {
		t.Errorf("got %v", got)
	}
}

func TestFindings_ResultsCountEverything(t *testing.T) {
	t.Parallel()
	a, b := NewFindings(), NewFindings()
	a.Faults, a.Acknowledged, a.SlowestRecovery = 3, 100, 1500*time.Millisecond
	b.Faults, b.Acknowledged, b.SlowestRecovery = 4, 11, time.Second
	for i, l := range b.lists() {
		for n := range i + 1 {
			*l.findings = append(*l.findings, fmt.Sprint(n))
		}
	}
	total := NewFindings()
	total.Add(a)
	if !total.OK() {
		t.Error("nothing is wrong, and it is not OK")
	}
	total.Add(b)
	if total.OK() {
		t.Error("much is wrong, and it is OK")
	}
	var text strings.Builder
	total.Results(&text)
	const want = `RESULT faults 7
RESULT entries_acknowledged 111
RESULT entries_lost 1
RESULT entries_doubled 2
RESULT versions_regressed 3
RESULT updates_doubled 4
RESULT clients_without_final 5
RESULT ghosts 6
RESULT leaks 7
RESULT slowest_recovery_s 1.50
`
	if text.String() != want {
		t.Errorf("got %s", text.String())
	}
}

func TestCrowd_CountsEndsWithinOneMoment(t *testing.T) {
	t.Parallel()
	sent := time.Now()
	at := func(ms ...int) (ends []time.Time) {
		for _, n := range ms {
			ends = append(ends, sent.Add(time.Duration(n)*time.Millisecond))
		}
		return ends
	}
	st := stop{sent: sent, ended: sent.Add(time.Second)}
	for _, test := range []struct {
		ends      []time.Time
		most, all int
	}{
		{nil, 0, 0},
		{at(-1, 0, 200, 400, 600, 1200), 1, 4},
		{at(100, 110, 120, 260, 400), 3, 5},
		{at(900, 1000, 1100, 1140), 3, 4},
	} {
		if most, all := crowd(test.ends, st); most != test.most || all != test.all {
			t.Errorf("%v: %d of %d, want %d of %d", test.ends, most, all, test.most, test.all)
		}
	}
}
