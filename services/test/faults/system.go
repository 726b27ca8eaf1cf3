package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

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
	participations   [participations]*process
	gateways         [gateways]*process
	toPostgres       [participations]*Link
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

// ports returns n ports of loopback that nobody listens on. They are below those that
// the kernel gives to outgoing connections, which could take the port of a process that
// is about to be started again.
func ports(ctx context.Context, n int) (numbers []int, err error) {
	for tries := 0; len(numbers) < n; tries++ {
		port := 10_000 + rand.IntN(22_000)
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if tries > 100*n {
				return nil, err
			}
			continue
		}
		defer l.Close() // not before all are found, so that they differ
		numbers = append(numbers, port)
	}
	return numbers, nil
}

// newSystem starts everything in dir and returns once it can be used.
func newSystem(ctx context.Context, dir string, programs Programs) (s *system, err error) {
	s = &system{dir: dir, programs: programs}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if err := s.startPostgres(ctx); err != nil {
		return s, err
	}
	if err := s.startNATS(ctx); err != nil {
		return s, err
	}
	if err := s.startServices(ctx); err != nil {
		return s, err
	}
	return s, s.awaitReady(ctx, 60*time.Second)
}

func (s *system) startPostgres(ctx context.Context) error {
	binaries, account, err := findPostgres(ctx, filepath.Join(s.dir, "cache"))
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "postgres")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if account != nil {
		if err := errors.Join(os.Chmod(s.dir, 0o711), os.Chown(data, int(account.Uid), int(account.Gid))); err != nil { //nolint:gosec // for PostgreSQL's account
			return err
		}
	}
	p, err := ports(ctx, 2)
	if err != nil {
		return err
	}
	s.clock = newClock()
	s.primary = newDatabase(s.dir, "primary", binaries, filepath.Join(data, "primary"), p[0], account, s.clock)
	s.standby = newDatabase(s.dir, "standby", binaries, filepath.Join(data, "standby"), p[1], account, s.clock)
	if err := s.primary.initialize(ctx); err != nil {
		return err
	}
	if err := s.primary.start(); err != nil {
		return err
	}
	if err := s.primary.awaitReady(ctx); err != nil {
		return err
	}
	if err := s.standby.clone(ctx, s.primary); err != nil {
		return err
	}
	if err := s.standby.start(); err != nil {
		return err
	}
	if err := s.standby.awaitReady(ctx); err != nil {
		return err
	}
	if err := s.primary.exec(ctx, "postgres", "CREATE DATABASE rafflecast"); err != nil {
		return err
	}
	for i := range s.toPostgres {
		if s.toPostgres[i], err = NewLink(ctx, s.primary.address()); err != nil {
			return err
		}
	}
	migrate := exec.CommandContext(ctx, s.programs.Participation, "migrate", "--database-url="+s.primary.dsn("rafflecast")) //nolint:gosec // our own program
	out, err := migrate.CombinedOutput()
	if err != nil {
		return fmt.Errorf("migrate: %w: %s", err, out)
	}
	return nil
}

const natsConfig = `
server_name: n%d
listen: 127.0.0.1:%d
jetstream { store_dir: %q }
cluster { name: faults, listen: 127.0.0.1:%d, no_advertise: true, routes: [%s] }
`

func (s *system) startNATS(ctx context.Context) error {
	p, err := ports(ctx, 2*servers)
	if err != nil {
		return err
	}
	copy(s.natsPorts[:], p)
	var routes []string
	for i := range servers {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p[servers+i]))
	}
	for i := range servers {
		config := filepath.Join(s.dir, fmt.Sprintf("nats-%d.conf", i))
		text := fmt.Sprintf(natsConfig, i, p[i], s.natsStore(i), p[servers+i], strings.Join(routes, ", "))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return err
		}
		s.nats[i] = newProcess(s.dir, fmt.Sprintf("nats-%d", i), func() *exec.Cmd {
			return exec.CommandContext(context.Background(), s.programs.NATS, "-c", config) //nolint:gosec // built by Build
		})
		if err := s.nats[i].start(); err != nil {
			return err
		}
	}
	var urls []string
	for i := range servers {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", s.natsPorts[i]))
	}
	s.admin, err = nats.Connect(strings.Join(urls, ","), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond), nats.PingInterval(time.Second))
	if err != nil {
		return err
	}
	js, err := s.stream()
	if err != nil {
		return err
	}
	return eventually(ctx, 30*time.Second, "JetStream has a leader", func(ctx context.Context) error {
		_, err := js.AccountInfo(ctx)
		return err
	})
}

func (s *system) natsStore(i int) string { return filepath.Join(s.dir, fmt.Sprintf("nats-%d", i)) }

func (s *system) stream() (jetstream.JetStream, error) { return jetstream.New(s.admin) }

func (s *system) natsURL(ctx context.Context, service int) (string, error) {
	var urls []string
	for i := range servers {
		link, err := NewLink(ctx, fmt.Sprintf("127.0.0.1:%d", s.natsPorts[i]))
		if err != nil {
			return "", err
		}
		s.natsLinks[service][i] = link
		urls = append(urls, "nats://"+link.Addr())
	}
	return strings.Join(urls, ","), nil
}

func (s *system) startServices(ctx context.Context) error {
	p, err := ports(ctx, 2*participations+participations+2*gateways)
	if err != nil {
		return err
	}
	next := func() int { n := p[0]; p = p[1:]; return n }
	for i := range participations {
		name := fmt.Sprintf("participation-%d", i)
		url, err := s.natsURL(ctx, i)
		if err != nil {
			return err
		}
		s.grpcPorts[i], s.opsPorts[i] = next(), next()
		args := []string{
			"serve", "--log-format=json", "--stream-replicas=3", "--nats-url=" + url,
			"--database-url=postgres://rafflecast@" + s.toPostgres[i].Addr() + "/rafflecast",
			fmt.Sprintf("--grpc-address=127.0.0.1:%d", s.grpcPorts[i]), fmt.Sprintf("--http-address=127.0.0.1:%d", next()),
			fmt.Sprintf("--ops-address=127.0.0.1:%d", s.opsPorts[i]), "--stop-timeout=3s",
		}
		s.participations[i] = newProcess(s.dir, name, func() *exec.Cmd {
			return exec.CommandContext(context.Background(), s.programs.Participation, args...) //nolint:gosec // our own program
		})
		if err := s.participations[i].start(); err != nil {
			return err
		}
		if s.callers[i], err = grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", s.grpcPorts[i]), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second, Backoff: fastBackoff})); err != nil {
			return err
		}
	}
	for i := range gateways {
		name := fmt.Sprintf("gateway-%d", i)
		url, err := s.natsURL(ctx, participations+i)
		if err != nil {
			return err
		}
		s.webPorts[i], s.opsPorts[participations+i] = next(), next()
		args := []string{
			"serve", "--log-format=json", "--nats-url=" + url, fmt.Sprintf("--address=127.0.0.1:%d", s.webPorts[i]),
			fmt.Sprintf("--ops-address=127.0.0.1:%d", s.opsPorts[participations+i]), "--drain-window=1s",
			"--heartbeat=2s", "--retry-min=200ms", "--retry-max=1s",
		}
		s.gateways[i] = newProcess(s.dir, name, func() *exec.Cmd {
			return exec.CommandContext(context.Background(), s.programs.Gateway, args...) //nolint:gosec // our own program
		})
		if err := s.gateways[i].start(); err != nil {
			return err
		}
	}
	return nil
}

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
	for _, service := range s.natsLinks {
		for _, l := range service {
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

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// eventually repeats try until it succeeds, for at most a time.
func eventually(ctx context.Context, within time.Duration, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(ctx, 5*time.Second)
		err := try(attempt)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %s: %w", within, what, err)
		}
	}
}
