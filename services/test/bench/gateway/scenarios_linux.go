package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// maxCompared bounds the connections of each of two servers that are compared: the
// client may not have 20,000.
const maxCompared = 9_900

// compare returns the ratio of a server's CPU time per delivery to another server's: the
// median of many turns of a second, so that what else the machine does affects both. With twice as many sockets a send costs more than it does
// alone, for both servers, so the ratio is of use only for servers that do little
// else.
func compare(ctx context.Context, cfg Config, kind, otherKind string) (float64, error) {
	var sessions []*session
	for _, kind := range []string{otherKind, kind} {
		s, err := newSession(ctx, kind, 1)
		if err != nil {
			return 0, err
		}
		defer s.close()
		if _, err := s.dial(min(maxCompared, cfg.Connections)); err != nil {
			return 0, err
		}
		if _, err := s.rounds(5, 0); err != nil { // to warm up
			return 0, err
		}
		sessions = append(sessions, s)
	}
	var others, values []float64
	for range 4 * cfg.Turns {
		other, err := sessions[0].rounds(6, 0)
		if err != nil {
			return 0, err
		}
		one, err := sessions[1].rounds(6, 0)
		if err != nil {
			return 0, err
		}
		others, values = append(others, other.cpu), append(values, one.cpu)
	}
	fmt.Fprintf(
		cfg.Out,
		"compared: %s %.2f µs per delivery, %s %.2f\n",
		kind,
		measure.Median(values),
		otherKind,
		measure.Median(others),
	)
	return measure.MedianRatio(values, others), nil
}

// stalledClients is how many clients stop reading.
const stalledClients = 10

// measureStalled returns by how much the other clients' 99th percentile changes if
// some clients stop reading, as a share: the median of several attempts.
func measureStalled(ctx context.Context, cfg Config) (float64, error) {
	s, err := newSession(ctx, kindGateway, 1)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if _, err := s.dial(cfg.Connections - stalledClients); err != nil {
		return 0, err
	}
	if _, err := s.rounds(5, 0); err != nil { // to warm up
		return 0, err
	}
	var changes []float64
	for range 5 {
		without, err := s.rounds(20, 0)
		if err != nil {
			return 0, err
		}
		stalled, err := newClient()
		if err != nil {
			return 0, err
		}
		for range stalledClients {
			if err := stalled.open(s.port, 1, 1); err != nil { // the kernel takes its smallest buffer
				return 0, err
			}
		}
		if _, err := s.rounds(60, 0); err != nil { // fills the buffers
			return 0, err
		}
		with, err := s.rounds(20, 0)
		if err != nil {
			return 0, err
		}
		stalled.closeAll()
		changes = append(changes, with.p99/without.p99-1)
	}
	return measure.Median(changes), nil
}

// residentAfter is how long after the last connect resident memory is read.
const residentAfter = 10 * time.Second

// measureResident returns by how much the gateway's resident memory has grown, in bytes
// per connection, some time after all have connected, or after all have been closed and
// came back at once: whichever is more. Nothing collects garbage for the measurement.
func measureResident(ctx context.Context, cfg Config) (float64, error) {
	s, err := newSession(ctx, kindGateway, 1)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if _, err := s.dial(firstConnections); err != nil {
		return 0, err
	}
	before, err := s.server.Ask(askResident)
	if err != nil {
		return 0, err
	}
	var perConnection []float64
	for range 2 {
		s.client.closeAll()
		if _, err := s.dial(cfg.Connections); err != nil {
			return 0, err
		}
		time.Sleep(residentAfter)
		now, err := s.server.Ask(askResident)
		if err != nil {
			return 0, err
		}
		perConnection = append(perConnection, (now-before)/float64(cfg.Connections))
	}
	fmt.Fprintf(cfg.Out, "resident: %.0f bytes per connection %v after they connected, %.0f after a storm\n",
		perConnection[0], residentAfter, perConnection[1])
	return max(perConnection[0], perConnection[1]), nil
}

// measureLatency returns the median time in ms from publishing to NATS until a
// client has received the odds, while nothing else happens.
func measureLatency(ctx context.Context) (float64, error) {
	s, err := newSession(ctx, kindGateway, 1)
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

// soak opens and closes connections and sends updates for cfg.Soak, and fails if
// the gateway's memory grows.
func soak(ctx context.Context, cfg Config) error {
	s, err := newSession(ctx, kindGateway, 1)
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
		if _, err := s.dial(s.client.closeSome(cfg.Connections / 100)); err != nil {
			return err
		}
		if err := s.round(); err != nil {
			return err
		}
		time.Sleep(400 * time.Millisecond) // so that connections last for a while
		if i%50 == 25 {
			if now, err = checkSoak(s, cfg, time.Until(end)); err != nil {
				return err
			}
			if first == 0 {
				first = now
			}
		}
	}
	measure.Result(cfg.Out, "soak_memory_change", "%.4g", now/first-1)
	if now > first*1.1 {
		return errors.New("memory grows")
	}
	return nil
}

// checkSoak reports what the gateway uses, and returns its memory in bytes. It fails
// if file descriptors leak.
func checkSoak(s *session, cfg Config, left time.Duration) (memory float64, err error) {
	if memory, err = s.server.Ask(askMemory); err != nil {
		return 0, err
	}
	files, err := s.server.Ask(askFiles)
	if err != nil {
		return 0, err
	}
	heap, err := s.server.Ask(askHeap)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(cfg.Out, "%v to go: memory %.1f MiB, heap %.2f MiB, %.0f files\n",
		left.Round(time.Second), memory/(1<<20), heap/(1<<20), files)
	if files > float64(cfg.Connections)+200 {
		return 0, errors.New("file descriptors leak")
	}
	return memory, nil
}
