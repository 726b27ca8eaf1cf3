package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// duelists are the connections of each of two servers that are measured in
// turns of a second: fewer than 10,000, since one client may not have 20,000.
const duelists = 9_900

// duel returns the gateway's CPU time per delivery by another server's, the
// middle of many short turns, so that what else the machine does falls on both.
// With twice the sockets a send costs more than alone, for both: so it tells
// something only of servers that do little else.
func duel(ctx context.Context, cfg Config, against string) (float64, error) {
	var sessions []*session
	for _, kind := range []string{against, "gateway"} {
		s, err := newSession(ctx, kind, 1)
		if err != nil {
			return 0, err
		}
		defer s.close()
		if _, err := s.dial(min(duelists, cfg.Connections)); err != nil {
			return 0, err
		}
		if _, err := s.rounds(5, 0); err != nil { // warm
			return 0, err
		}
		sessions = append(sessions, s)
	}
	var ratios, theirs, gateways []float64
	for range 4 * cfg.Turns {
		other, err := sessions[0].rounds(6, 0)
		if err != nil {
			return 0, err
		}
		ours, err := sessions[1].rounds(6, 0)
		if err != nil {
			return 0, err
		}
		ratios = append(ratios, ours.cpu/other.cpu)
		theirs, gateways = append(theirs, other.cpu), append(gateways, ours.cpu)
	}
	fmt.Fprintf(cfg.Out, "duel: %.2f µs per delivery, %s %.2f\n", median(gateways), against, median(theirs))
	return median(ratios), nil
}

// stalledReaders are how many clients stop reading.
const stalledReaders = 10

// stalled returns by how much the others' 99th percentile changes when some
// clients stop reading, as a share, the middle of several tries.
func stalled(ctx context.Context, cfg Config) (float64, error) {
	s, err := newSession(ctx, "gateway", 1)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if _, err := s.dial(cfg.Connections - stalledReaders); err != nil {
		return 0, err
	}
	if _, err := s.rounds(5, 0); err != nil {
		return 0, err
	}
	var changes []float64
	for range 5 {
		without, err := s.rounds(20, 0)
		if err != nil {
			return 0, err
		}
		stuck, err := newClient()
		if err != nil {
			return 0, err
		}
		for range stalledReaders {
			if err := stuck.open(s.server.ready, 1, 1); err != nil { // the least buffer there is
				return 0, err
			}
		}
		if _, err := s.rounds(60, 0); err != nil { // fills what is between
			return 0, err
		}
		with, err := s.rounds(20, 0)
		if err != nil {
			return 0, err
		}
		stuck.close()
		changes = append(changes, with.p99/without.p99-1)
	}
	return median(changes), nil
}

// idleLatency returns the median time in ms from publishing to NATS to the
// client, where nothing else happens.
func idleLatency(ctx context.Context) (float64, error) {
	s, err := newSession(ctx, "gateway", 1)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if _, err := s.dial(1); err != nil {
		return 0, err
	}
	idle, err := s.rounds(100, 20*time.Millisecond)
	return idle.p50, err
}

// soak has connections come and go, and updates sent, and fails where memory
// grows.
func soak(ctx context.Context, cfg Config) error {
	s, err := newSession(ctx, "gateway", 1)
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.dial(cfg.Connections); err != nil {
		return err
	}
	end := time.Now().Add(cfg.Soak)
	var first, now float64
	for i := 0; time.Now().Before(end); i++ {
		gone := s.client.drop(cfg.Connections / 100)
		if err := s.more(gone); err != nil {
			return err
		}
		if _, err := s.rounds(1, 0); err != nil {
			return err
		}
		time.Sleep(400 * time.Millisecond) // a life, not a storm
		if i%50 == 25 {
			if now, err = s.server.ask("memory"); err != nil {
				return err
			}
			files, err := s.server.ask("files")
			if err != nil {
				return err
			}
			heap, err := s.server.ask("heap")
			if err != nil {
				return err
			}
			fmt.Fprintf(cfg.Out, "%v to go: memory %.1f MiB, heap %.2f MiB, %.0f files\n",
				time.Until(end).Round(time.Second), now/(1<<20), heap/(1<<20), files)
			if first == 0 {
				first = now
			}
			if files > float64(cfg.Connections)+200 {
				return errors.New("files pile up")
			}
		}
	}
	fmt.Fprintf(cfg.Out, "RESULT soak_memory_change %.4g\n", now/first-1)
	if now > first*1.1 {
		return errors.New("memory grows")
	}
	return nil
}
