//go:build unix

package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/localnats"
)

// The parts that run in processes of their own.
const (
	partService = "service"
	partNoop    = "noop"
	partNATS    = "nats"
)

// PartConfig is what a part is told. The service's own settings can be told too:
// they are in the environment, as for the service itself.
type PartConfig struct {
	Part     string
	StoreDir string // of NATS
	Service  participation.Config
}

// Register adds every setting to set.
func (c *PartConfig) Register(set *config.Set) {
	s := set.Section("bench-part", false)
	s.String(&c.Part, "part", "", "service, noop or nats")
	s.String(&c.StoreDir, "store-dir", "", "where NATS keeps its stream")
	c.Service.Register(set.Section(participation.Service, true))
	c.Service.RegisterStores(set)
}

// RunPart runs one part of the benchmark until ctx or the standard input ends,
// whichever is first: the benchmark that started it holds the input's other end.
// It writes one line once the part is ready: where it listens, and its
// operations address.
func RunPart(ctx context.Context, cfg PartConfig, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // however it ends, the parent is gone
		cancel()
	}()
	switch cfg.Part {
	case partService:
		return serveEntries(ctx, cfg, log)
	case partNoop:
		return serveNoop(ctx, ready)
	case partNATS:
		server, err := localnats.Start(ctx, cfg.StoreDir, log)
		if err != nil {
			return err
		}
		defer server.Stop()
		ready(server.URL(), "-")
		<-ctx.Done()
		return nil
	}
	return fmt.Errorf("--part=%s: must be service, noop or nats", cfg.Part)
}

func ready(address, ops string) { fmt.Println("READY", address, ops) }

// serveEntries runs the service as it is deployed, with its default settings
// where the environment says nothing else.
func serveEntries(ctx context.Context, cfg PartConfig, log *slog.Logger) error {
	service := cfg.Service
	service.GRPCAddress, service.HTTPAddress, service.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	service.Migrate, service.Log = true, log
	service.Started = func(a participation.Addresses) { ready(a.GRPC.String(), a.Ops.String()) }
	return participation.Run(ctx, service)
}
