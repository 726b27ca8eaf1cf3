package faults

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Add adds what another run has found.
func (f *Findings) Add(other *Findings) {
	f.Faults += other.Faults
	f.Acknowledged += other.Acknowledged
	f.Lost = append(f.Lost, other.Lost...)
	f.Doubled = append(f.Doubled, other.Doubled...)
	f.Regressed = append(f.Regressed, other.Regressed...)
	f.UpdatesDoubled = append(f.UpdatesDoubled, other.UpdatesDoubled...)
	f.WithoutFinal = append(f.WithoutFinal, other.WithoutFinal...)
	f.Ghosts = append(f.Ghosts, other.Ghosts...)
	f.Leaks = append(f.Leaks, other.Leaks...)
	f.CallerFaults = append(f.CallerFaults, other.CallerFaults...)
	f.SlowestRecovery = max(f.SlowestRecovery, other.SlowestRecovery)
	f.SlowestAttempt = max(f.SlowestAttempt, other.SlowestAttempt)
	f.Events += other.Events
	f.Resets += other.Resets
	f.Kinds = sum(f.Kinds, other.Kinds)
	f.Codes = sum(f.Codes, other.Codes)
	f.Refused = sum(f.Refused, other.Refused)
}

func sum[K comparable](a, b map[K]int) map[K]int {
	if a == nil {
		a = make(map[K]int)
	}
	for k, n := range b {
		a[k] += n
	}
	return a
}

// Report writes a table of faults by kind, callers' errors by code, and examples
// of what is wrong.
func (f *Findings) Report(w io.Writer) {
	fmt.Fprintln(w, "\nfaults by kind:")
	for _, name := range slices.Sorted(maps.Keys(f.Kinds)) {
		fmt.Fprintf(w, "  %-45s %5d\n", name, f.Kinds[name])
	}
	fmt.Fprintln(w, "callers' errors by code and reason:")
	for _, name := range slices.Sorted(maps.Keys(f.Codes)) {
		fmt.Fprintf(w, "  %-45s %5d\n", name, f.Codes[name])
	}
	fmt.Fprintf(w, "subscribers: %d events, %d resets, refused by status %v\n", f.Events, f.Resets, f.Refused)
	fmt.Fprintf(w, "callers: slowest failed attempt %v\n", f.SlowestAttempt.Round(time.Millisecond))
	for _, list := range []struct {
		name     string
		findings []string
	}{
		{"lost", f.Lost},
		{"doubled", f.Doubled},
		{"regressed", f.Regressed},
		{"updates doubled", f.UpdatesDoubled},
		{"without the final odds", f.WithoutFinal},
		{"ghosts", f.Ghosts},
		{"leaks", f.Leaks},
		{"callers and logs", f.CallerFaults},
	} {
		for _, text := range list.findings[:min(len(list.findings), 5)] {
			fmt.Fprintf(w, "FOUND %s: %s\n", list.name, text)
		}
		if more := len(list.findings) - 5; more > 0 {
			fmt.Fprintf(w, "FOUND %s: and %d more\n", list.name, more)
		}
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
