package bench

import (
	"context"
	"log/slog"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/localnats"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// Parts are the commands of the processes that the benchmark starts.
type Parts struct {
	NATS    natsPart    `cmd:"" name:"nats" hidden:"" help:"Run NATS."`
	Viewers viewersPart `cmd:"" hidden:"" help:"Watch raffles."`
	Callers callersPart `cmd:"" hidden:"" help:"Enter raffles."`
}

type natsPart struct {
	Dir string `arg:"" form:"a directory" help:"Directory for the stream."`
}

// Run runs the command until the benchmark ends it.
func (p *natsPart) Run(ctx context.Context, log *slog.Logger) error {
	server, err := localnats.Start(ctx, p.Dir, log)
	if err != nil {
		return err
	}
	defer server.Stop()
	measure.Ready(server.URL())
	measure.ServeParent(func(string) string { return "" })
	return nil
}

type viewersPart struct {
	Port     int           `arg:"" min:"1" max:"65535" help:"Port of the gateway on loopback."`
	Patience time.Duration `name:"patience" env:"BENCH_PATIENCE" default:"30s" min:"1s" max:"10m" help:"Most time for odds to arrive at every viewer."`
	Priority int           `name:"priority" env:"BENCH_PRIORITY" default:"10" min:"0" max:"20" unit:"levels" help:"By how much the viewers come before other processes."`
}

// Run runs the command until the benchmark ends it.
func (p *viewersPart) Run() error { return ServeViewers(p.Port, p.Priority, p.Patience) }

type callersPart struct {
	Config CallersConfig `embed:""`
}

// Run runs the command until the benchmark ends it.
func (p *callersPart) Run(ctx context.Context) error { return ServeCallers(ctx, p.Config) }
