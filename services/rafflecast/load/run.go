package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// run is one run of the generator.
type run struct {
	cfg      Config
	plan     *Plan
	clients  []rafflev1.ParticipationServiceClient
	schedule *schedule
	ledger   Ledger
	tally    *tally
}

// grace is how long calls under way may take once the run was told to stop.
const grace = 10 * time.Second

// Run makes raffles, enters them, writes the first one's id and the result to out
// and a line per second to progress, and verifies the result. When ctx ends it stops sending, and verifies
// what was sent. It fails where the settings are wrong, where the service or
// the database can't be reached, and where the verification finds a fault.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := checkDatabase(ctx, cfg.DatabaseURL); err != nil {
		return err
	}
	conns, err := Dial(cfg.Target, cfg.Connections)
	if err != nil {
		return err
	}
	defer conns.Close()
	plan, err := makePlan(ctx, &cfg, conns[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "first raffle %d\n", plan.Raffles[0])
	r := newRun(cfg, plan, conns)
	began := time.Now()
	err = r.send(ctx, progress)
	r.report(out, r.lasted(began))
	if err != nil {
		fmt.Fprintln(progress, "sending ended early:", err)
	}
	found, errVerify := r.verifyLater(context.WithoutCancel(ctx), cfg.DatabaseURL)
	found.report(out, r.tally.acknowledged.Load())
	return errors.Join(err, errVerify, found.err())
}

func newRun(cfg Config, plan *Plan, conns Conns) *run {
	r := &run{cfg: cfg, plan: plan, tally: newTally()}
	if cfg.Mode == HTTP {
		r.clients = append(r.clients, newFacade(strings.TrimSuffix(cfg.Facade, "/"), cfg.Concurrency))
		return r
	}
	for _, conn := range conns {
		r.clients = append(r.clients, rafflev1.NewParticipationServiceClient(conn))
	}
	return r
}

// send sends everything and waits for the answers.
func (r *run) send(ctx context.Context, progress io.Writer) error {
	// Calls outlive ctx by the grace, so that few fates stay unknown.
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cut) })()
	ended := make(chan struct{})
	told := make(chan struct{})
	go func() { defer close(told); r.tell(progress, ended) }()
	defer func() { close(ended); <-told }()
	r.schedule = newSchedule(r.cfg.Rate, r.cfg.Count, r.cfg.Duration)
	if r.cfg.Mode == Stream {
		return r.streams(ctx, calls)
	}
	r.unary(ctx, calls)
	return nil
}

// lasted returns the time from the first request to the last answer.
func (r *run) lasted(began time.Time) time.Duration {
	finished := r.tally.finished.Load()
	if finished == 0 {
		return 0
	}
	return max(time.Unix(0, finished).Sub(began), time.Millisecond)
}

// Conns are connections to one service.
type Conns []*grpc.ClientConn

// spread makes calls go round all addresses that a name has, as of a headless
// Service of Kubernetes.
const spread = `{"loadBalancingConfig":[{"round_robin":{}}]}`

// Dial returns n connections, each of its own; they connect when they are used.
func Dial(target string, n int) (Conns, error) {
	conns := make(Conns, n)
	for i := range conns {
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(spread))
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", target, err)
		}
		conns[i] = conn
	}
	return conns, nil
}

// Close closes all of them.
func (c Conns) Close() {
	for _, conn := range c {
		_ = conn.Close()
	}
}

// makePlan makes the raffles of a run.
func makePlan(ctx context.Context, cfg *Config, conn *grpc.ClientConn) (*Plan, error) {
	client := rafflev1.NewRaffleServiceClient(conn)
	plan := &Plan{Members: cfg.Members, MaxEntries: cfg.MaxEntries, Seed: rand.Uint64()}
	req := &rafflev1.CreateRaffleRequest{Title: "Load", Winners: 1, MaxEntriesPerMember: int32(cfg.MaxEntries)}
	if cfg.ClosesAfter > 0 {
		req.ClosesAt = timestamppb.New(time.Now().Add(cfg.ClosesAfter))
	}
	for range cfg.Raffles {
		made, err := client.CreateRaffle(ctx, req, grpc.WaitForReady(true))
		if err != nil {
			return nil, fmt.Errorf("make raffle %d of %d at %s: %w", len(plan.Raffles)+1, cfg.Raffles, cfg.Target, err)
		}
		plan.Raffles = append(plan.Raffles, made.GetRaffle().GetId())
	}
	return plan, nil
}
