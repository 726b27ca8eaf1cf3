package faults

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// The sizes of a system.
const (
	servers        = 3 // NATS
	participations = 2
	gateways       = 3
)

// Programs are the binaries that a system is made of.
type Programs struct{ Participation, Gateway, NATS string }

// system is everything that runs, with a link between each two.
type system struct {
	dir      string
	programs Programs

	primary, standby *database
	nats             [servers]*process
	natsPorts        [servers]int
	// routes are what a NATS server calls each of the others.
	routes         [servers][servers]*Link
	participations [participations]*process
	gateways       [gateways]*process
	toPostgres     [participations]*Link
	// natsLinks are what a service calls its NATS servers: participation's first,
	// then the gateways'.
	natsLinks [participations + gateways][servers]*Link
	grpcPorts [participations]int
	opsPorts  [participations + gateways]int
	webPorts  [gateways]int

	callers [participations]*grpc.ClientConn
	admin   *nats.Conn // straight to the servers
	clock   *clock

	mu       sync.Mutex // held for primary and standby, which a promotion swaps
	promoted bool
	stops    []stop
}

// database returns the primary.
func (s *system) database() *database {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.primary
}

// follower returns the standby, unless it was promoted.
func (s *system) follower() (*database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.promoted {
		return nil, errors.New("the standby was promoted")
	}
	return s.standby, nil
}

// replica returns the standby or, after a promotion, the old primary.
func (s *system) replica() *database {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standby
}

func (s *system) natsStore(i int) string { return filepath.Join(s.dir, fmt.Sprintf("nats-%d", i)) }

func (s *system) stream() (jetstream.JetStream, error) { return jetstream.New(s.admin) }

// awaitStream fails unless JetStream answers and the stream, if there is one, has
// a leader: a cluster that has lost servers elects one within seconds.
func (s *system) awaitStream(ctx context.Context) error {
	js, err := s.stream()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := js.AccountInfo(ctx); err != nil {
		return err
	}
	stream, err := js.Stream(ctx, oddsstream.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // to make it is up to participation
	}
	if err == nil && (stream.CachedInfo().Cluster == nil || stream.CachedInfo().Cluster.Leader == "") {
		return errors.New("the stream has no leader")
	}
	return err
}

// awaitReady returns once every process runs and every service is ready.
func (s *system) awaitReady(ctx context.Context, within time.Duration) error {
	return eventually(ctx, within, "every service is ready", func(ctx context.Context) error {
		for _, p := range s.processes() {
			if !p.alive() {
				return errors.New(p.name + " has ended")
			}
		}
		if err := s.database().exec(ctx, "rafflecast", `SELECT txid_current()`); err != nil { // it may write
			return err
		}
		if err := s.awaitStream(ctx); err != nil {
			return err
		}
		for _, port := range s.opsPorts {
			if _, err := get(ctx, fmt.Sprintf("http://127.0.0.1:%d/readyz", port)); err != nil {
				return err
			}
		}
		return nil
	})
}

// processes returns all that runs.
func (s *system) processes() []*process {
	var all []*process
	add := func(p *process) {
		if p != nil {
			all = append(all, p)
		}
	}
	for _, d := range []*database{s.database(), s.replica()} {
		if d != nil {
			add(d.process)
		}
	}
	for _, list := range [][]*process{s.nats[:], s.participations[:], s.gateways[:]} {
		for _, p := range list {
			add(p)
		}
	}
	return all
}

func (s *system) links() []*Link {
	var all []*Link
	for _, l := range s.toPostgres {
		if l != nil {
			all = append(all, l)
		}
	}
	for _, list := range append(s.natsLinks[:], s.routes[:]...) {
		for _, l := range list {
			if l != nil {
				all = append(all, l)
			}
		}
	}
	return all
}

// heal ends every disturbance and starts what has ended.
func (s *system) heal() error {
	for _, l := range s.links() {
		l.Heal()
	}
	var errs []error
	for _, p := range s.processes() {
		p.signal(syscall.SIGCONT)
		errs = append(errs, p.start())
	}
	return errors.Join(errs...)
}

// stop ends everything.
func (s *system) stop() {
	for _, c := range s.callers {
		if c != nil {
			_ = c.Close()
		}
	}
	for _, l := range s.links() {
		l.Heal()
	}
	for _, p := range s.processes() {
		_ = p.end(syscall.SIGKILL, 5*time.Second)
	}
	for _, l := range s.links() {
		l.Close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
}
