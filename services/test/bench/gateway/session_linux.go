package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// session is a server and its clients, ready to be measured.
type session struct {
	client  *client
	server  *measure.Child
	port    int      // of the server
	nats    net.Conn // for the gateway, else nil
	raffles int64
	message func(raffleID, version int64) []byte // what is published to the gateway
	version int64                                // the newest of every raffle
	cleanup []func()
}

// newSession starts a server of a kind, which knows as many raffles.
func newSession(ctx context.Context, kind string, raffles int64) (_ *session, err error) {
	s := &session{raffles: raffles, version: 1, message: message}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.client, err = newClient(); err != nil {
		return nil, err
	}
	s.cleanup = append(s.cleanup, s.client.closeAll)
	args := []string{kind}
	if kind == kindDraws {
		kind, s.message, args = kindGateway, drawMessage, []string{kindGateway}
	}
	if kind == kindGateway {
		port, err := s.startNATS(ctx)
		if err != nil {
			return nil, err
		}
		args = append(args, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	s.server, s.port, err = s.start(ctx, serverCore, args...)
	return s, err
}

// start runs this program again on one core, with the name and the arguments of a
// server. It returns the process and the port on which it serves.
func (s *session) start(ctx context.Context, core int, args ...string) (*measure.Child, int, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, 0, fmt.Errorf("find this program: %w", err)
	}
	child, err := measure.Start(ctx, append([]string{self}, args...), startOn(core))
	if err != nil {
		return nil, 0, err
	}
	s.cleanup = append(s.cleanup, child.Stop)
	port, err := strconv.Atoi(child.Ready[0])
	return child, port, err
}

// startNATS starts NATS with the stream of odds, connects to it, and returns its
// port. It speaks NATS's protocol itself: a library would use CPU time on the
// client's core, which is busy.
func (s *session) startNATS(ctx context.Context) (port int, err error) {
	dir, err := os.MkdirTemp("", "bench-nats-")
	if err != nil {
		return 0, err
	}
	s.cleanup = append(s.cleanup, func() { _ = os.RemoveAll(dir) })
	if _, port, err = s.start(ctx, clientCore, "nats", dir, fmt.Sprint(s.raffles)); err != nil {
		return 0, err
	}
	if s.nats, err = (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
		return 0, err
	}
	s.cleanup = append(s.cleanup, func() { _ = s.nats.Close() })
	if _, err = bufio.NewReader(s.nats).ReadString('\n'); err != nil { // INFO
		return 0, err
	}
	_, err = s.nats.Write([]byte("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n"))
	return port, err
}

// close ends the clients and the processes.
func (s *session) close() {
	for len(s.cleanup) > 0 {
		last := len(s.cleanup) - 1
		s.cleanup[last]()
		s.cleanup = s.cleanup[:last]
	}
}

// dial opens n connections, evenly over the raffles, and returns how many per
// second.
func (s *session) dial(n int) (perSecond float64, err error) {
	took, err := s.client.dial(s.port, n, func(i int) int64 { return 1 + int64(i)%s.raffles })
	return float64(n) / took.Seconds(), err
}

// memory returns the server's anonymous memory and the kernel's slab, in bytes.
func (s *session) memory() (anonymous, slab float64, err error) {
	if anonymous, err = s.server.Ask(askMemory); err != nil {
		return 0, 0, err
	}
	bytes, err := measure.Slab()
	return anonymous, float64(bytes), err
}

func (s *session) publish(raffleID, version int64) error {
	if s.nats == nil {
		return s.server.Tell(fmt.Sprintf("%s %d %d", publish, raffleID, version))
	}
	data := s.message(raffleID, version)
	b := fmt.Appendf(nil, "PUB %s %d\r\n", oddsstream.Subject(raffleID), len(data))
	_, err := s.nats.Write(append(append(b, data...), "\r\n"...))
	return err
}

// round publishes the next version of every raffle and waits until every client has
// it.
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

// cost is what rounds cost.
type cost struct {
	cpu       float64 // the server's, in µs per delivery
	perSecond float64 // deliveries
	last      float64 // ms from publishing to the last client: the median of the rounds
	p50, p99  float64 // ms from publishing to a client: the medians of the rounds
}

// rounds measures n rounds, which begin at least interval apart.
func (s *session) rounds(n int, interval time.Duration) (cost, error) {
	before, err := s.server.Ask(askCPU)
	if err != nil {
		return cost{}, err
	}
	var lasts, p50s, p99s []float64
	start := time.Now()
	for i := range n {
		time.Sleep(time.Until(start.Add(time.Duration(i) * interval)))
		if err := s.round(); err != nil {
			return cost{}, err
		}
		lasts = append(lasts, ms(s.client.percentile(1)))
		p50s, p99s = append(p50s, ms(s.client.percentile(.5))), append(p99s, ms(s.client.percentile(.99)))
	}
	took := time.Since(start)
	after, err := s.server.Ask(askCPU)
	if err != nil {
		return cost{}, err
	}
	deliveries := float64(n * len(s.client.conns))
	return cost{
		cpu: (after - before) / 1e3 / deliveries, perSecond: deliveries / took.Seconds(),
		last: measure.Median(lasts), p50: measure.Median(p50s), p99: measure.Median(p99s),
	}, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
