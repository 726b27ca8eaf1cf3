package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// postgresSettings are those of the measurement of entries: PostgreSQL waits for its disk,
// and checkpoints are kept out of the turns.
var postgresSettings = map[string]string{
	"shared_buffers":     "1GB",
	"min_wal_size":       "4GB",
	"max_wal_size":       "16GB",
	"checkpoint_timeout": "1h",
}

// system is everything that runs from the first scene to the last.
type system struct {
	cfg           *Config
	log           io.Writer
	postgres      *localpg.Server
	nats          *measure.Child
	participation *service
	gateway       *service
	viewers       *measure.Child
	conn          *grpc.ClientConn // to participation
	cleanup       []func()
}

func startSystem(ctx context.Context, cfg *Config, log io.Writer) (s *system, err error) {
	s = &system{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	dir, err := os.MkdirTemp(cfg.Dir, "rafflecast-bench-")
	if err != nil {
		return s, err
	}
	s.onStop(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // for PostgreSQL's account; what matters inside has mode 0700
		return s, err
	}
	if err := s.startPostgres(ctx, filepath.Join(dir, "postgres")); err != nil {
		return s, err
	}
	if s.nats, err = s.startPart(ctx, "nats", filepath.Join(dir, "nats")); err != nil {
		return s, err
	}
	if err := s.startServices(); err != nil {
		return s, err
	}
	_, port, err := net.SplitHostPort(s.gateway.at["http"])
	if err != nil {
		return s, err
	}
	s.viewers, err = s.startPart(ctx, "viewers", port, "--patience="+cfg.Patience.String(), fmt.Sprintf("--priority=%d", cfg.Priority))
	return s, err
}

func (s *system) onStop(f func()) { s.cleanup = append(s.cleanup, f) }

func (s *system) stop() {
	for len(s.cleanup) > 0 {
		last := len(s.cleanup) - 1
		s.cleanup[last]()
		s.cleanup = s.cleanup[:last]
	}
}

func (s *system) startPostgres(ctx context.Context, dir string) error {
	binaries, err := localpg.Find(ctx, localpg.FindOptions{CacheDir: s.cfg.Cache})
	if err != nil {
		return err
	}
	if s.postgres, err = localpg.Start(ctx, localpg.Config{Binaries: binaries, Dir: dir, Settings: postgresSettings}); err != nil {
		return err
	}
	s.onStop(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		_ = s.postgres.Stop(ctx) // its files are removed next
	})
	return nil
}

// startPart starts a part of this program.
func (s *system) startPart(ctx context.Context, args ...string) (*measure.Child, error) {
	command, err := s.cfg.program()
	if err != nil {
		return nil, err
	}
	child, err := measure.Start(ctx, append(command[:len(command):len(command)], args...), (*exec.Cmd).Start)
	if err != nil {
		return nil, err
	}
	s.onStop(child.Stop)
	return child, nil
}

func (s *system) startServices() (err error) {
	const anyPort = "127.0.0.1:0"
	nats := "--nats-url=" + s.nats.Ready[0]
	if s.participation, err = startService(s.cfg.Programs, "participation", s.log, nats, "--database-url="+s.postgres.URL(), "--migrate",
		"--grpc-address="+anyPort, "--http-address="+anyPort, "--ops-address="+anyPort); err != nil {
		return err
	}
	s.onStop(s.participation.stop)
	if s.gateway, err = startService(s.cfg.Programs, "gateway", s.log, nats, "--address="+anyPort, "--ops-address="+anyPort,
		"--drain-window=0s"); err != nil {
		return err
	}
	s.onStop(s.gateway.stop)
	s.conn, err = grpc.NewClient(s.participation.at["grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		s.onStop(func() { _ = s.conn.Close() })
	}
	return err
}

// awaitKnown waits until the gateway has the odds of all raffles.
func (s *system) awaitKnown(ctx context.Context, raffles []string) error {
	for _, id := range raffles {
		url := fmt.Sprintf("http://%s/api/v1/raffles/%s/odds", s.gateway.at["http"], id)
		if err := testenv.Await("the gateway knows raffle "+id, s.cfg.Patience, func() bool { return isFound(ctx, url) }); err != nil {
			return err
		}
	}
	return nil
}

func isFound(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
