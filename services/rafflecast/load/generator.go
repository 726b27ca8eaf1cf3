package load

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// Generator puts one load on one service. Make it with Prepare, call Send once, and
// then Verify.
type Generator struct {
	cfg      Config
	conns    Conns
	plan     *Plan
	schedule *schedule
	outcomes outcomes
	counters *counters
}

// Prepare makes the raffles of a load on the service behind conns.
func Prepare(ctx context.Context, cfg Config, conns Conns) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	plan, err := makePlan(ctx, &cfg, conns[0])
	if err != nil {
		return nil, err
	}
	return newGenerator(cfg, plan, conns), nil
}

func newGenerator(cfg Config, plan *Plan, conns Conns) *Generator {
	return &Generator{cfg: cfg, conns: conns, plan: plan, counters: newCounters()}
}

// makePlan makes the raffles and returns the plan to enter them.
func makePlan(ctx context.Context, cfg *Config, conn *grpc.ClientConn) (*Plan, error) {
	client := rafflev1.NewRaffleServiceClient(conn)
	plan := &Plan{Members: cfg.Members, MaxEntries: cfg.MaxEntries, Seed: rand.Uint64()}
	req := &rafflev1.CreateRaffleRequest{Title: "Load", Winners: 1, MaxEntriesPerMember: int32(cfg.MaxEntries)}
	if cfg.DrawDelay > 0 {
		req.Draw = &rafflev1.Draw{Delay: durationpb.New(cfg.DrawDelay)}
	}
	if cfg.ClosesAfter > 0 {
		req.ClosesAt = timestamppb.New(time.Now().Add(cfg.ClosesAfter))
	}
	for i := range cfg.Raffles {
		made, err := client.CreateRaffle(ctx, req, grpc.WaitForReady(true))
		if err != nil {
			return nil, fmt.Errorf("make raffle %d of %d at %s: %w", i+1, cfg.Raffles, cfg.Target, err)
		}
		plan.Raffles = append(plan.Raffles, made.GetRaffle().GetId())
	}
	return plan, nil
}

// Plan returns what is requested, by numbers from 0 on.
func (g *Generator) Plan() *Plan { return g.plan }

// Acknowledged returns how many entries are acknowledged by now. Safe for
// concurrent use.
func (g *Generator) Acknowledged() int64 { return g.counters.acknowledged.Load() }

// grace is how long calls may take after ctx has ended, so that few outcomes stay
// unknown.
const grace = 10 * time.Second

// Send sends every request and waits for the answers. It writes a line per second
// to progress. If it returns an error, the result is of what was sent until then.
func (g *Generator) Send(ctx context.Context, progress io.Writer) (Result, error) {
	calls, cancelCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelCalls()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancelCalls) })()
	stopProgress := g.reportProgress(progress)
	defer stopProgress()
	start := time.Now()
	g.schedule = newSchedule(g.cfg.Rate, g.cfg.Count, g.cfg.Duration)
	var err error
	if g.cfg.Mode == Stream {
		err = g.sendByStreams(ctx, calls)
	} else {
		err = g.sendByCalls(ctx, calls)
	}
	return g.counters.result(start), err
}

// reasonNotOpen is the reason with which a closed raffle refuses entries.
const reasonNotOpen = "RAFFLE_NOT_OPEN"

// record records an answer to request n if it is final.
func (g *Generator) record(n int64, a answer) {
	if g.cfg.UntilClosed && a.reason == reasonNotOpen {
		g.schedule.stop()
	}
	switch {
	case a.acknowledged():
		g.outcomes.acknowledge(n, a.ordinal)
	case a.refused():
		g.outcomes.refuse(n)
	}
}
