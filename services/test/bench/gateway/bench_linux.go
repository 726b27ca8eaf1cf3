package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// Config says how much is measured.
type Config struct {
	Connections int
	Turns       int           // of the three servers
	Soak        time.Duration // 0: no soak test
	Out         io.Writer
}

// The kinds of server.
const (
	kindHub     = "hub"
	kindBare    = "bare"
	kindGateway = "gateway"
	kindDraws   = "draws" // the gateway, with raffles that will be drawn
)

// kinds in the order of a turn: the gateway last, so that it does not pay for cold
// caches and clocks.
var kinds = []string{kindHub, kindBare, kindGateway}

// figures holds the measured values, turn by turn, by kind of server and name.
type figures map[string]map[string][]float64

func (f figures) add(kind, name string, value float64) {
	if f[kind] == nil {
		f[kind] = make(map[string][]float64)
	}
	f[kind][name] = append(f[kind][name], value)
}

func (f figures) median(kind, name string) float64 { return measure.Median(f[kind][name]) }

// last returns the value of the newest turn.
func (f figures) last(kind, name string) float64 {
	values := f[kind][name]
	return values[len(values)-1]
}

// Run measures and writes a report. Its last lines, which begin with RESULT, are for
// programs.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Soak > 0 {
		return soak(ctx, cfg)
	}
	oneRaffle, manyRaffles := figures{}, figures{}
	for turn := range cfg.Turns {
		for _, kind := range kinds {
			if err := measureOneRaffle(ctx, cfg, kind, oneRaffle); err != nil {
				return fmt.Errorf("one raffle, %s: %w", kind, err)
			}
			if err := measureManyRaffles(ctx, cfg, kind, manyRaffles); err != nil {
				return fmt.Errorf("many raffles, %s: %w", kind, err)
			}
		}
		fmt.Fprintf(cfg.Out, "turn %d of %d: %.2f µs per delivery, bare %.2f, hub %.2f\n", turn+1, cfg.Turns,
			oneRaffle.last(kindGateway, "cpu"), oneRaffle.last(kindBare, "cpu"), oneRaffle.last(kindHub, "cpu"))
	}
	perBare, err := compare(ctx, cfg, kindGateway, kindBare)
	if err != nil {
		return fmt.Errorf("compare with bare: %w", err)
	}
	drawEvent, err := compare(ctx, cfg, kindDraws, kindGateway)
	if err != nil {
		return fmt.Errorf("compare events: %w", err)
	}
	stalledChange, err := measureStalled(ctx, cfg)
	if err != nil {
		return fmt.Errorf("stalled clients: %w", err)
	}
	latency, err := measureLatency(ctx)
	if err != nil {
		return fmt.Errorf("latency: %w", err)
	}
	resident, err := measureResident(ctx, cfg)
	if err != nil {
		return fmt.Errorf("resident memory: %w", err)
	}
	report(cfg.Out, cfg, oneRaffle, manyRaffles)
	for _, r := range []struct {
		name  string
		value float64
	}{
		{"cpu_us_per_delivery", oneRaffle.median(kindGateway, "cpu")},
		{"cpu_per_bare", perBare},
		{"draw_event_cpu_ratio", drawEvent},
		{"cpu_per_hub", measure.MedianRatio(oneRaffle[kindGateway]["cpu"], oneRaffle[kindHub]["cpu"])},
		{"idle_bytes_per_connection", oneRaffle.median(kindGateway, "idle bytes")},
		{"connects_per_s", oneRaffle.median(kindGateway, "connects")},
		{"connect_cpu_per_bare", perBareOf(oneRaffle, "connect cpu")},
		{"connects_per_bare", perBareOf(oneRaffle, "connects")},
		{"storm_per_bare", perBareOf(oneRaffle, "reconnects")},
		{"resident_bytes_per_connection", resident},
		{"stalled_p99_change", stalledChange},
		{"publish_to_socket_p50_ms", latency},
		{"deliveries_per_s", oneRaffle.median(kindGateway, "deliveries")},
	} {
		measure.Result(cfg.Out, r.name, "%.4g", r.value)
	}
	return nil
}

// perBareOf returns the ratio of the gateway's value to the bare server's in the same turn:
// the median of the turns.
func perBareOf(f figures, name string) float64 {
	return measure.MedianRatio(f[kindGateway][name], f[kindBare][name])
}

// firstConnections are open before memory per connection is measured, so that what
// a server allocates once does not count.
const firstConnections = 100

// measureOneRaffle measures all connections on one raffle.
func measureOneRaffle(ctx context.Context, cfg Config, kind string, out figures) error {
	s, err := newSession(ctx, kind, 1)
	if err != nil {
		return err
	}
	defer s.close()
	if err := measureConnects(s, cfg, kind, out); err != nil {
		return err
	}
	if _, err := s.rounds(3, 0); err != nil { // to warm up
		return err
	}
	saturated, err := s.rounds(20, 0)
	if err != nil {
		return err
	}
	out.add(kind, "cpu", saturated.cpu)
	out.add(kind, "deliveries", saturated.perSecond)
	out.add(kind, "last", saturated.last)
	paced, err := s.rounds(20, 100*time.Millisecond)
	if err != nil {
		return err
	}
	out.add(kind, "cpu at 10/s", paced.cpu)
	out.add(kind, "p50", paced.p50)
	out.add(kind, "p99", paced.p99)
	s.client.closeAll()
	reconnects, err := s.dial(cfg.Connections)
	out.add(kind, "reconnects", reconnects)
	return err
}

// measureConnects opens all connections, and measures what each costs.
func measureConnects(s *session, cfg Config, kind string, out figures) error {
	if _, err := s.dial(firstConnections); err != nil {
		return err
	}
	memoryBefore, slabBefore, err := s.memory()
	if err != nil {
		return err
	}
	cpuBefore, err := s.server.Ask(askCPU) // after memory, which costs a collection
	if err != nil {
		return err
	}
	n := cfg.Connections - firstConnections
	connects, err := s.dial(n)
	if err != nil {
		return err
	}
	cpu, err := s.server.Ask(askCPU)
	if err != nil {
		return err
	}
	memory, slab, err := s.memory()
	if err != nil {
		return err
	}
	out.add(kind, "connects", connects)
	out.add(kind, "connect cpu", (cpu-cpuBefore)/1e3/float64(n))
	out.add(kind, "idle bytes", (memory-memoryBefore)/float64(n))
	out.add(kind, "kernel bytes", (slab-slabBefore)/float64(n))
	return nil
}

// measureManyRaffles measures ten connections on each of a tenth as many raffles.
func measureManyRaffles(ctx context.Context, cfg Config, kind string, out figures) error {
	s, err := newSession(ctx, kind, int64(cfg.Connections/10))
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.dial(cfg.Connections); err != nil {
		return err
	}
	if _, err := s.rounds(2, 0); err != nil { // to warm up
		return err
	}
	saturated, err := s.rounds(8, 0)
	out.add(kind, "cpu", saturated.cpu)
	out.add(kind, "deliveries", saturated.perSecond)
	return err
}
