package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// Cores: the server that is measured has one to itself.
const (
	serverCore = 0
	clientCore = 1
)

// session is a server with clients, ready to be measured.
type session struct {
	client  *client
	server  *process
	nats    *process // for the gateway
	dir     string   // of nats
	line    net.Conn // to nats
	raffles int64
	version int64
}

// newSession starts a server of a kind, which knows so many raffles.
func newSession(ctx context.Context, kind string, raffles int64) (_ *session, err error) {
	s := &session{raffles: raffles, version: 1}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.client, err = newClient(); err != nil {
		return nil, err
	}
	args := []string{kind}
	if kind == "gateway" {
		if s.dir, err = os.MkdirTemp("", "bench-nats-"); err != nil {
			return nil, err
		}
		if s.nats, err = start(ctx, clientCore, "nats", s.dir, fmt.Sprint(raffles)); err != nil {
			return nil, err
		}
		if err = s.dialNATS(ctx); err != nil {
			return nil, err
		}
		args = append(args, fmt.Sprintf("nats://127.0.0.1:%d", s.nats.ready))
	}
	s.server, err = start(ctx, serverCore, args...)
	return s, err
}

// dialNATS opens a line to NATS: so simple a publisher costs the client's core,
// which is busy, nothing that a library would do behind its back.
func (s *session) dialNATS(ctx context.Context) error {
	var err error
	if s.line, err = (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", s.nats.ready)); err != nil {
		return err
	}
	if _, err = bufio.NewReader(s.line).ReadString('\n'); err != nil { // INFO
		return err
	}
	_, err = s.line.Write([]byte("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n"))
	return err
}

func (s *session) close() {
	if s.client != nil {
		s.client.close()
	}
	if s.line != nil {
		_ = s.line.Close()
	}
	for _, p := range []*process{s.server, s.nats} {
		if p != nil {
			p.stop()
		}
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// dial opens n connections, evenly over the raffles, and returns how many a
// second.
func (s *session) dial(n int) (perSecond float64, err error) {
	took, err := s.client.dial(s.server.ready, n, func(i int) int64 { return 1 + int64(i)%s.raffles })
	return float64(n) / took.Seconds(), err
}

// more opens n connections where others are open.
func (s *session) more(n int) error {
	_, err := s.dial(n)
	return err
}

func (s *session) publish(raffleID, version int64) error {
	if s.line == nil {
		return s.server.tell(fmt.Sprintf("publish %d %d", raffleID, version))
	}
	data := message(raffleID, version)
	b := fmt.Appendf(nil, "PUB %s %d\r\n", oddsstream.Subject(raffleID), len(data))
	_, err := s.line.Write(append(append(b, data...), "\r\n"...))
	return err
}

// round publishes the next version of every raffle and waits until all clients
// have it.
func (s *session) round() error {
	s.version++
	s.client.expect(s.version, len(s.client.conns))
	for id := range s.raffles {
		if err := s.publish(id+1, s.version); err != nil {
			return err
		}
	}
	return s.client.wait()
}

// cost is what rounds took, per delivery where not said otherwise.
type cost struct {
	cpu       float64 // µs of the server's
	perSecond float64 // deliveries
	last      float64 // ms from publishing to the last client, the middle of the rounds
	p50, p99  float64 // ms from publishing to a client, likewise
}

// rounds measures so many rounds, at least pause from one's begin to the next.
func (s *session) rounds(n int, pause time.Duration) (cost, error) {
	before, err := s.server.ask("cpu")
	if err != nil {
		return cost{}, err
	}
	var lasts, p50s, p99s []float64
	began := time.Now()
	for i := range n {
		time.Sleep(time.Until(began.Add(time.Duration(i) * pause)))
		if err := s.round(); err != nil {
			return cost{}, err
		}
		lasts = append(lasts, ms(s.client.percentile(1)))
		p50s, p99s = append(p50s, ms(s.client.percentile(.5))), append(p99s, ms(s.client.percentile(.99)))
	}
	took := time.Since(began)
	after, err := s.server.ask("cpu")
	if err != nil {
		return cost{}, err
	}
	deliveries := float64(n * len(s.client.conns))
	return cost{
		cpu: (after - before) / 1e3 / deliveries, perSecond: deliveries / took.Seconds(),
		last: median(lasts), p50: median(p50s), p99: median(p99s),
	}, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
