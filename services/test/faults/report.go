package faults

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Findings are what runs have found. Every list must be empty.
type Findings struct {
	Faults       int
	Acknowledged int

	Lost           []string
	Doubled        []string
	Regressed      []string
	UpdatesDoubled []string
	WithoutFinal   []string // one per client and judgement
	Ghosts         []string
	Leaks          []string
	Others         []string // calls that failed as they must not, crashes, what logs should not say

	SlowestRecovery time.Duration // until everybody had the final odds
	SlowestCutOff   time.Duration // until everybody was shown what was committed while a NATS server was cut off
	SlowestReady    time.Duration // from healing until every service was ready
	SlowestAttempt  time.Duration // of the calls that failed
	Late            time.Duration // longest that this process itself was delayed
	Took            time.Duration

	Kinds          map[string]int
	Codes          map[string]int
	RefusedByRule  map[string]int
	Refused        map[int]int // connections, by status
	Usage          map[string]usage
	Events, Resets int
}

// NewFindings returns findings without any.
func NewFindings() *Findings {
	return &Findings{
		Kinds: make(map[string]int), Codes: make(map[string]int), RefusedByRule: make(map[string]int),
		Refused: make(map[int]int), Usage: make(map[string]usage),
	}
}

// list is a kind of finding.
type list struct {
	name     string
	findings *[]string
}

func (f *Findings) lists() []list {
	return []list{
		{"lost", &f.Lost},
		{"doubled", &f.Doubled},
		{"regressed", &f.Regressed},
		{"updates doubled", &f.UpdatesDoubled},
		{"without the final odds", &f.WithoutFinal},
		{"ghosts", &f.Ghosts},
		{"leaks", &f.Leaks},
		{"calls, logs and processes", &f.Others},
	}
}

// OK reports whether nothing is wrong.
func (f *Findings) OK() bool {
	return !slices.ContainsFunc(f.lists(), func(l list) bool { return len(*l.findings) > 0 })
}

// Add adds what another run has found.
func (f *Findings) Add(other *Findings) {
	f.Faults += other.Faults
	f.Acknowledged += other.Acknowledged
	theirs := other.lists()
	for i, l := range f.lists() {
		*l.findings = append(*l.findings, *theirs[i].findings...)
	}
	f.SlowestRecovery = max(f.SlowestRecovery, other.SlowestRecovery)
	f.SlowestCutOff = max(f.SlowestCutOff, other.SlowestCutOff)
	f.SlowestReady = max(f.SlowestReady, other.SlowestReady)
	f.SlowestAttempt = max(f.SlowestAttempt, other.SlowestAttempt)
	f.Late = max(f.Late, other.Late)
	f.Took += other.Took
	f.Events += other.Events
	f.Resets += other.Resets
	add(f.Kinds, other.Kinds)
	add(f.Codes, other.Codes)
	add(f.RefusedByRule, other.RefusedByRule)
	add(f.Refused, other.Refused)
	for name, u := range other.Usage {
		f.Usage[name] = most(f.Usage[name], u)
	}
}

func add[K comparable](sum, more map[K]int) {
	for k, n := range more {
		sum[k] += n
	}
}

// Report writes a table of faults by kind, callers' errors by code, and examples
// of what is wrong.
func (f *Findings) Report(w io.Writer) {
	table(w, "faults by kind:", f.Kinds)
	table(w, "callers' errors by code and reason; but for those by their raffle's rules, calls were repeated until they succeeded:", f.Codes)
	table(w, "entries refused by their raffle's rules:", f.RefusedByRule)
	fmt.Fprintln(w, "most that a service held in a quiet moment:")
	for _, name := range slices.Sorted(maps.Keys(f.Usage)) {
		fmt.Fprintf(w, "  %-45s %v\n", name, f.Usage[name])
	}
	fmt.Fprintf(w, "clients: %d events, %d resets, refused by status %v\n", f.Events, f.Resets, f.Refused)
	fmt.Fprintf(w, "slowest failed attempt of a call %v; ready at most %v after healing; this process was late by at most %v\n",
		f.SlowestAttempt.Round(time.Millisecond), f.SlowestReady.Round(time.Millisecond), f.Late.Round(time.Millisecond))
	fmt.Fprintf(w, "with a NATS server cut off, everybody was shown what was committed after at most %v\n", f.SlowestCutOff.Round(10*time.Millisecond))
	fmt.Fprintf(w, "%d faults in %v\n", f.Faults, f.Took.Round(time.Second))
	for _, l := range f.lists() {
		const examples = 5
		found := *l.findings
		for _, text := range found[:min(len(found), examples)] {
			fmt.Fprintf(w, "FOUND %s: %s\n", l.name, text)
		}
		if more := len(found) - examples; more > 0 {
			fmt.Fprintf(w, "FOUND %s: and %d more\n", l.name, more)
		}
	}
}

func table(w io.Writer, title string, counts map[string]int) {
	fmt.Fprintln(w, title)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "  %-45s %5d\n", name, counts[name])
	}
}

// Results writes the lines that a machine reads.
func (f *Findings) Results(w io.Writer) {
	for _, r := range []struct {
		name  string
		value any
	}{
		{"faults", f.Faults},
		{"entries_acknowledged", f.Acknowledged},
		{"entries_lost", len(f.Lost)},
		{"entries_doubled", len(f.Doubled)},
		{"versions_regressed", len(f.Regressed)},
		{"updates_doubled", len(f.UpdatesDoubled)},
		{"clients_without_final", len(f.WithoutFinal)},
		{"ghosts", len(f.Ghosts)},
		{"leaks", len(f.Leaks)},
		{"slowest_recovery_s", fmt.Sprintf("%.2f", f.SlowestRecovery.Seconds())},
	} {
		fmt.Fprintf(w, "RESULT %s %v\n", r.name, r.value)
	}
}
