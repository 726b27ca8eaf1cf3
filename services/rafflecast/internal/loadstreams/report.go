package loadstreams

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
)

// summary is what all clients have seen.
type summary struct {
	counts    counts
	connected int // clients
	version   int64
	delay     time.Duration // until the last client received the final odds
	late      int           // clients that lacked odds for too long
	fewest    int           // updates of one client that were committed while it was connected
	faults    []string
}

func (r *run) summarize(end raffleEnd) summary {
	s := summary{counts: counts{refusals: map[int]int{}}, fewest: math.MaxInt, faults: slices.Clone(r.faults)}
	var late []string
	for i, c := range r.clients {
		h := c.history
		h.mu.Lock()
		if h.late != "" {
			late = append(late, fmt.Sprintf("client %d: %s", i, h.late))
		}
		s.counts.add(&h.counts)
		if h.connected {
			s.connected++
		}
		s.version = max(s.version, h.version)
		s.fewest = min(s.fewest, h.flow.Updates())
		if h.final {
			s.delay = max(s.delay, h.finalAt.Sub(end.noticedAt))
		}
		for _, fault := range h.faults {
			s.faults = append(s.faults, fmt.Sprintf("client %d: %s", i, fault))
		}
		h.mu.Unlock()
	}
	if s.late = len(late); s.late*100 > len(r.clients)*r.cfg.MaxLate {
		s.faults = append(s.faults, late...)
	}
	return s
}

// add adds what one client has counted.
func (c *counts) add(one *counts) {
	c.connects += one.connects
	c.failures += one.failures
	c.silences += one.silences
	c.resets += one.resets
	c.events += one.events
	c.longestGap = max(c.longestGap, one.longestGap)
	for status, n := range one.refusals {
		c.refusals[status] += n
	}
}

// reportProgress writes a line every few seconds until ctx ends.
func (r *run) reportProgress(ctx context.Context, w io.Writer) {
	for start := time.Now(); ctxtime.Sleep(ctx, 5*time.Second); {
		s := r.summarize(raffleEnd{})
		fmt.Fprintf(
			w,
			"%4.0f s  %5d of %d connected  %6d connects  %10d events  version %d  %d faults\n",
			time.Since(start).
				Seconds(),
			s.connected,
			len(r.clients),
			s.counts.connects,
			s.counts.events,
			s.version,
			len(s.faults),
		)
	}
}

// maxFaultLines bounds how many faults the report lists.
const maxFaultLines = 20

// report writes the result and returns the number of faults. Its last lines, which
// begin with RESULT, are for programs.
func (r *run) report(w io.Writer, end raffleEnd) (faults int) {
	s := r.summarize(end)
	reconnects := max(0, s.counts.connects-len(r.clients))
	for _, line := range []struct {
		what  string
		value any
	}{
		{"clients", len(r.clients)},
		{"events", s.counts.events},
		{"final version", end.version},
		{"received by all after", s.delay.Round(time.Millisecond)},
		{"versions meanwhile", r.commits.Versions()},
		{"fewest updates of a client", s.fewest},
		{"age of updates p50", r.ages.At(50).Round(time.Millisecond)},
		{"age of updates p99", r.ages.At(99).Round(time.Millisecond)},
		{"age of updates, greatest", r.ages.At(100).Round(time.Millisecond)},
		{"clients that were late", s.late},
		{"connects", s.counts.connects},
		{"of these, reconnects", reconnects},
		{"most streams lost in 1 s", r.losses.greatest(burstPeriod)},
		{"most reconnects in 1 s", r.returns.greatest(burstPeriod)},
		{"longest without connection", s.counts.longestGap.Round(time.Millisecond)},
		{"requests without response", s.counts.failures},
		{"silent connections closed", s.counts.silences},
		{"resets", s.counts.resets},
	} {
		fmt.Fprintf(w, "%-30s %12v\n", line.what, line.value)
	}
	for _, status := range slices.Sorted(maps.Keys(s.counts.refusals)) {
		fmt.Fprintf(
			w,
			"%-30s %12d\n",
			fmt.Sprintf("answered %d %s", status, strings.ToLower(http.StatusText(status))),
			s.counts.refusals[status],
		)
	}
	for i, fault := range s.faults {
		if i == maxFaultLines {
			fmt.Fprintf(w, "and %d more\n", len(s.faults)-i)
			break
		}
		fmt.Fprintln(w, "FAULT", fault)
	}
	fmt.Fprintf(w, "RESULT reconnects %d\nRESULT longest_gap_ms %d\nRESULT resets %d\n",
		reconnects, s.counts.longestGap.Milliseconds(), s.counts.resets)
	fmt.Fprintf(w, "RESULT versions %d\nRESULT fewest_updates %d\nRESULT greatest_age_ms %d\nRESULT faults %d\n",
		r.commits.Versions(), s.fewest, r.ages.At(100).Milliseconds(), len(s.faults))
	return len(s.faults)
}
