package watch

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// sum is what all clients have seen.
type sum struct {
	open, connects, failures, resets, silences, events int

	version  int64 // the newest
	gap      time.Duration
	late     time.Duration // from when the raffle's end was noticed to the last client's final odds
	refusals map[int]int
	faults   []string
}

func (r *run) sum(last truth) sum {
	s := sum{refusals: map[int]int{}}
	for i, c := range r.clients {
		c.mu.Lock()
		if c.open {
			s.open++
		}
		s.connects += c.connects
		s.failures += c.failures
		s.resets += c.resets
		s.silences += c.silences
		s.events += c.events
		s.version = max(s.version, c.version)
		s.gap = max(s.gap, c.gap)
		if c.final {
			s.late = max(s.late, c.finalAt.Sub(last.at))
		}
		for status, n := range c.refusals {
			s.refusals[status] += n
		}
		for _, fault := range c.faults {
			s.faults = append(s.faults, fmt.Sprintf("client %d: %s", i, fault))
		}
		c.mu.Unlock()
	}
	return s
}

// tell writes a line every few seconds until ctx ends.
func (r *run) tell(ctx context.Context, w io.Writer) {
	for began := time.Now(); sleep(ctx, 5*time.Second); {
		s := r.sum(truth{})
		fmt.Fprintf(w, "%4.0f s  %5d of %d connected  %6d connects  %10d events  version %d  %d faults\n",
			time.Since(began).Seconds(), s.open, len(r.clients), s.connects, s.events, s.version, len(s.faults))
	}
}

// mostFaults is how many faults are told in full.
const mostFaults = 20

// report writes what came of it, and returns the number of faults. The last lines
// are for programs.
func (r *run) report(w io.Writer, last truth) int {
	s := r.sum(last)
	for _, line := range []struct {
		what  string
		count any
	}{
		{"clients", len(r.clients)},
		{"events", s.events},
		{"final version", last.version},
		{"the last client had it after", s.late.Round(time.Millisecond)},
		{"connects", s.connects},
		{"of these, came back", max(0, s.connects-len(r.clients))},
		{"longest without connection", s.gap.Round(time.Millisecond)},
		{"no connection", s.failures},
		{"silent connections given up", s.silences},
		{"resets", s.resets},
	} {
		fmt.Fprintf(w, "%-30s %12v\n", line.what, line.count)
	}
	for _, status := range slices.Sorted(maps.Keys(s.refusals)) {
		fmt.Fprintf(w, "%-30s %12d\n", fmt.Sprintf("answered %d %s", status, strings.ToLower(http.StatusText(status))), s.refusals[status])
	}
	for i, fault := range s.faults {
		if i == mostFaults {
			fmt.Fprintf(w, "and %d more\n", len(s.faults)-i)
			break
		}
		fmt.Fprintln(w, "FAULT", fault)
	}
	fmt.Fprintf(w, "RESULT reconnects %d\nRESULT longest_gap_ms %d\nRESULT resets %d\nRESULT faults %d\n",
		max(0, s.connects-len(r.clients)), s.gap.Milliseconds(), s.resets, len(s.faults))
	return len(s.faults)
}
