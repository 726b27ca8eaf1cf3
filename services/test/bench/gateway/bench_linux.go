package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Config is how much is measured.
type Config struct {
	Connections int
	Turns       int           // of the three servers
	Soak        time.Duration // 0: none
	Out         io.Writer
}

// kinds of server, the gateway last, so that it is not the one to find caches
// and clocks cold.
var kinds = []string{"hub", "bare", "gateway"}

// figures are what each kind of server did, turn by turn.
type figures map[string]map[string][]float64 // by kind, by name

func (f figures) add(kind, name string, value float64) {
	if f[kind] == nil {
		f[kind] = make(map[string][]float64)
	}
	f[kind][name] = append(f[kind][name], value)
}

func (f figures) median(kind, name string) float64 { return median(f[kind][name]) }

// ratio returns the median over the turns of the gateway's figure by another's of
// the same turn.
func (f figures) ratio(name, by string) float64 {
	var ratios []float64
	for i, v := range f["gateway"][name] {
		ratios = append(ratios, v/f[by][name][i])
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Run measures and reports; the last lines are for programs.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Soak > 0 {
		return soak(ctx, cfg)
	}
	one, many := figures{}, figures{}
	for turn := range cfg.Turns {
		for _, kind := range kinds {
			if err := oneRaffle(ctx, cfg, kind, one); err != nil {
				return fmt.Errorf("one raffle, %s: %w", kind, err)
			}
			if err := manyRaffles(ctx, cfg, kind, many); err != nil {
				return fmt.Errorf("many raffles, %s: %w", kind, err)
			}
		}
		fmt.Fprintf(cfg.Out, "turn %d of %d: %.2f µs per delivery, bare %.2f, hub %.2f\n", turn+1, cfg.Turns,
			last(one["gateway"]["cpu"]), last(one["bare"]["cpu"]), last(one["hub"]["cpu"]))
	}
	perBare, err := duel(ctx, cfg, "bare")
	if err != nil {
		return fmt.Errorf("duel: %w", err)
	}
	stalledChange, err := stalled(ctx, cfg)
	if err != nil {
		return fmt.Errorf("stalled reader: %w", err)
	}
	idle, err := idleLatency(ctx)
	if err != nil {
		return fmt.Errorf("latency: %w", err)
	}
	report(cfg.Out, cfg, one, many)
	for _, r := range []struct {
		name  string
		value float64
	}{
		{"cpu_us_per_delivery", one.median("gateway", "cpu")},
		{"cpu_per_bare", perBare},
		{"cpu_per_hub", one.ratio("cpu", "hub")},
		{"idle_bytes_per_connection", one.median("gateway", "idle bytes")},
		{"connects_per_s", one.median("gateway", "connects")},
		{"stalled_p99_change", stalledChange},
		{"publish_to_socket_p50_ms", idle},
		{"deliveries_per_s", one.median("gateway", "deliveries")},
	} {
		fmt.Fprintf(cfg.Out, "RESULT %s %.4g\n", r.name, r.value)
	}
	return nil
}

func last(values []float64) float64 { return values[len(values)-1] }

// oneRaffle measures all connections on one raffle.
func oneRaffle(ctx context.Context, cfg Config, kind string, out figures) error {
	s, err := newSession(ctx, kind, 1)
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.dial(100); err != nil { // what is made once is not of a connection
		return err
	}
	empty, err := s.server.ask("memory")
	if err != nil {
		return err
	}
	kernel := kernelMemory()
	before, err := s.server.ask("cpu")
	if err != nil {
		return err
	}
	connects, err := s.dial(cfg.Connections - 100)
	if err != nil {
		return err
	}
	after, err := s.server.ask("cpu")
	if err != nil {
		return err
	}
	idle, err := s.server.ask("memory")
	if err != nil {
		return err
	}
	n := float64(cfg.Connections - 100)
	out.add(kind, "connects", connects)
	out.add(kind, "connect cpu", (after-before)/1e3/n)
	out.add(kind, "idle bytes", (idle-empty)/n)
	out.add(kind, "kernel bytes", float64(kernelMemory()-kernel)/n)
	if _, err := s.rounds(3, 0); err != nil { // warm
		return err
	}
	fast, err := s.rounds(20, 0)
	if err != nil {
		return err
	}
	out.add(kind, "cpu", fast.cpu)
	out.add(kind, "deliveries", fast.perSecond)
	out.add(kind, "last", fast.last)
	paced, err := s.rounds(20, 100*time.Millisecond)
	if err != nil {
		return err
	}
	out.add(kind, "cpu at 10/s", paced.cpu)
	out.add(kind, "p50", paced.p50)
	out.add(kind, "p99", paced.p99)
	s.client.close()
	storm, err := s.dial(cfg.Connections)
	out.add(kind, "storm", storm)
	return err
}

// manyRaffles measures ten connections on each of a tenth as many raffles.
func manyRaffles(ctx context.Context, cfg Config, kind string, out figures) error {
	s, err := newSession(ctx, kind, int64(cfg.Connections/10))
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.dial(cfg.Connections); err != nil {
		return err
	}
	if _, err := s.rounds(2, 0); err != nil { // warm
		return err
	}
	fast, err := s.rounds(8, 0)
	out.add(kind, "cpu", fast.cpu)
	out.add(kind, "deliveries", fast.perSecond)
	return err
}
