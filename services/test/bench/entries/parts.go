//go:build unix

package bench

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/localnats"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// The parts, which run in processes of their own.
const (
	partService = "service"
	partNoop    = "noop"
	partNATS    = "nats"
	partDraw    = "draw"
	partVerify  = "verify"
)

// PartConfig configures a part. The settings of the service are in the environment,
// as they are for the service itself.
type PartConfig struct {
	Part        string                 `name:"part" env:"BENCH_PART_PART" required:"" enum:"service,noop,nats,draw,verify" help:"Part to run."`
	StoreDir    string                 `name:"store-dir" env:"BENCH_PART_STORE_DIR" form:"a directory" help:"Directory in which NATS keeps its stream, or in which a raffle's log is."`
	DatabaseURL string                 `name:"database-url" env:"DATABASE_URL" secret:"" form:"the URL of a PostgreSQL" help:"Database of the service."`
	NATSURL     string                 `name:"nats-url" env:"NATS_URL" secret:"" form:"the URL of a NATS server" help:"NATS server of the service."`
	Service     participation.Settings `embed:"" prefix:"participation-"`
	Access      access.Settings        `embed:""`
}

// RunPart runs one part of the benchmark until ctx ends or the benchmark that started
// it. It writes a line once the part is ready: the address on which it listens, and
// that of its operations port.
func RunPart(ctx context.Context, cfg PartConfig, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		measure.ServeParent(func(string) string { return "" })
		cancel()
	}()
	switch cfg.Part {
	case partDraw:
		return drawAgain(cfg.StoreDir)
	case partVerify:
		return verifyDrawn(ctx, cfg.StoreDir)
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
	return fmt.Errorf("--part=%s: must be service, noop, nats, draw or verify", cfg.Part)
}

func ready(address, ops string) { measure.Ready(address, ops) }

// serveEntries runs the service as it is deployed, with its default settings unless
// the environment changes them.
func serveEntries(ctx context.Context, cfg PartConfig, log *slog.Logger) error {
	service := participation.DefaultConfig()
	service.Settings, service.DatabaseURL, service.NATSURL = cfg.Service, cfg.DatabaseURL, cfg.NATSURL
	service.Access = cfg.Access
	service.GRPCAddress, service.HTTPAddress, service.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	service.Migrate, service.Log = true, log
	service.Started = func(a participation.Addresses) { ready(a.GRPC.String(), a.Ops.String()) }
	return participation.Run(ctx, service)
}
