package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

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

// natsConfig has the servers reach each other by links only: they tell each other an
// address at which nobody listens, so that a server that is cut off from another one
// does not learn of a way around the link.
const natsConfig = `
server_name: n%d
listen: 127.0.0.1:%d
jetstream { store_dir: %q }
cluster { name: faults, listen: 127.0.0.1:%d, advertise: "127.0.0.1:1", no_advertise: true, routes: [%s] }
`

func (s *system) startNATS(ctx context.Context) error {
	p, err := ports(ctx, 2*servers)
	if err != nil {
		return err
	}
	copy(s.natsPorts[:], p)
	for i := range servers {
		var routes []string
		for j := range servers {
			if j == i {
				continue
			}
			link, err := NewLink(ctx, fmt.Sprintf("127.0.0.1:%d", p[servers+j]))
			if err != nil {
				return err
			}
			s.routes[i][j] = link
			routes = append(routes, "nats://"+link.Addr())
		}
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
