package bench

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/rafflecast/rafflecast/services/rafflecast/load"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// CallersConfig configures the callers.
type CallersConfig struct {
	Target      string `name:"target" env:"BENCH_CALLERS_TARGET" required:"" form:"host:port" help:"Participation's gRPC API."`
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" required:"" secret:"" form:"the URL of a PostgreSQL" help:"Participation's database, to verify the entries."`
	Raffles     int    `name:"raffles" env:"BENCH_CALLERS_RAFFLES" default:"1" min:"1" max:"1500" unit:"raffles" help:"Raffles to create and enter."`
	Rate        int    `name:"rate" env:"BENCH_CALLERS_RATE" default:"1000" min:"1" max:"100000" unit:"entries a second" help:"Rate at which to enter."`
}

// What the benchmark asks the callers for. They answer each with a number.
const (
	askSend   = "send"   // begin to send entries; 0
	askStop   = "stop"   // stop, and verify the entries; how many were acknowledged
	askAnswer = "answer" // how long an answer took, in ms, at the 99th percentile
)

// maxInFlight is how many calls may wait for their answers: so many that the rate is kept
// through a pause of some tenths of a second.
const maxInFlight = 512

// untilStopped is more entries than are ever sent.
const untilStopped = 1_000_000_000

// ServeCallers creates raffles, whose ids it says when it is ready, and enters them by unary
// calls as the process on standard input asks.
func ServeCallers(ctx context.Context, cfg CallersConfig) error {
	settings := load.DefaultConfig()
	settings.Target, settings.Raffles, settings.Rate = cfg.Target, cfg.Raffles, cfg.Rate
	settings.Mode, settings.Concurrency = load.Unary, maxInFlight
	settings.Count, settings.Duration = untilStopped, 0
	settings.RepeatPercent, settings.CancelPercent = 0, 0 // so that each entry costs the same
	conns, err := load.Dial(settings.Target, settings.Connections)
	if err != nil {
		return err
	}
	defer conns.Close()
	generator, err := load.Prepare(ctx, settings, conns)
	if err != nil {
		return err
	}
	c := &callers{generator: generator, database: cfg.DatabaseURL, sent: make(chan struct{})}
	var ids []any
	for _, id := range generator.Plan().Raffles {
		ids = append(ids, id)
	}
	measure.Ready(ids...)
	sending, stop := context.WithCancel(ctx)
	defer stop()
	measure.ServeParent(func(line string) string {
		switch line {
		case askSend:
			go c.send(sending)
			return "0"
		case askStop:
			stop()
			return fmt.Sprint(c.finish(ctx))
		case askAnswer:
			return fmt.Sprint(float64(c.result.Latency.ValueAtQuantile(99)) / 1000)
		}
		return ""
	})
	return nil
}

// callers enter members into raffles.
type callers struct {
	generator *load.Generator
	database  string
	sent      chan struct{} // closed once result is there
	result    load.Result
	err       error
}

func (c *callers) send(ctx context.Context) {
	defer close(c.sent)
	c.result, c.err = c.generator.Send(ctx, io.Discard)
}

// finish waits for the last answers, verifies the entries, and returns how many were
// acknowledged.
func (c *callers) finish(ctx context.Context) float64 {
	<-c.sent
	err := c.err
	if err == nil {
		err = c.generator.Verify(ctx, c.database)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "callers:", err)
		return failed
	}
	return float64(c.result.Acknowledged)
}
