package watch

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/load"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// during runs a service until the function that it returns is called, or the test
// ends. It returns once the service has said where it listens.
func during[Addresses any](t *testing.T, serve func(ctx context.Context, started func(Addresses)) error) (Addresses, func()) {
	t.Helper()
	started := make(chan Addresses, 1)
	ctx, stop := context.WithCancel(context.Background()) // the test's own ends before its cleanups
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, func(a Addresses) { started <- a }) }()
	end := func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ended <- nil
	}
	t.Cleanup(end)
	select {
	case a := <-started:
		return a, end
	case err := <-ended:
		ended <- nil
		t.Fatalf("the service did not start: %v", err)
		panic("not reached")
	}
}

func startParticipation(t *testing.T, nats string) string {
	t.Helper()
	cfg := participation.DefaultConfig()
	cfg.DatabaseURL, cfg.NATSURL, cfg.Migrate = pgtest.URL(t), nats, true
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	a, _ := during(t, func(ctx context.Context, started func(participation.Addresses)) error {
		cfg.Started = started
		return participation.Run(ctx, cfg)
	})
	return a.GRPC.String()
}

func startGateway(t *testing.T, nats, address string) (string, func()) {
	t.Helper()
	cfg := gateway.DefaultConfig()
	cfg.NATSURL, cfg.Address, cfg.OpsAddress = nats, address, "127.0.0.1:0"
	cfg.RetryMin, cfg.RetryMax, cfg.DrainWindow = 50*time.Millisecond, 100*time.Millisecond, 300*time.Millisecond
	a, stop := during(t, func(ctx context.Context, started func(gateway.Addresses)) error {
		cfg.Started = started
		return gateway.Run(ctx, cfg)
	})
	return a.HTTP.String(), stop
}

// has tells whether the client is connected for at least the nth time, and has odds.
func (r *record) has(connects int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open && r.connects >= connects && r.version > 0
}

// TestAGatewayThatIsReplacedLosesNothing replaces the gateway while members enter.
func TestAGatewayThatIsReplacedLosesNothing(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t).URL()
	target := startParticipation(t, nats)
	address, leave := startGateway(t, nats, "127.0.0.1:0")
	conns, err := load.Dial("dns:///"+target, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	raffles, entries := rafflev1.NewRaffleServiceClient(conns[0]), rafflev1.NewParticipationServiceClient(conns[0])
	made, err := raffles.CreateRaffle(t.Context(), &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	if err != nil {
		t.Fatal(err)
	}
	id := made.GetRaffle().GetId()
	cfg := settings(t, "--gateway=http://"+address, "--target=dns:///"+target, fmt.Sprint("--raffle=", id), "--clients=60", "--over=100ms")
	var out strings.Builder
	watched := make(chan error, 1)
	r := newRun(cfg)
	go func() { watched <- r.watch(t.Context(), conns[0], &out, t.Output()) }()

	enter := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: id, MemberId: fmt.Sprint("m", i)}); err != nil {
				t.Error(err)
			}
		}
	}
	allHave := func(connects int) {
		deadline := time.After(30 * time.Second)
		for _, c := range r.clients {
			for !c.has(connects) {
				select {
				case <-r.news:
				case <-deadline:
					t.Fatal("the clients did not come")
				}
			}
		}
	}
	allHave(1)
	enter(0, 50)
	leave()
	enter(50, 100)
	startGateway(t, nats, address)
	allHave(2)
	enter(100, 150)
	if err := load.Close(t.Context(), load.CloseConfig{Target: target, Raffle: int(id)}, t.Output()); err != nil {
		t.Fatal(err)
	}
	if err := <-watched; err != nil || !strings.Contains(out.String(), "RESULT faults 0\n") || strings.Contains(out.String(), "RESULT longest_gap_ms 0\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestARaffleThatStaysOpenIsAFailure(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "--gateway=http://127.0.0.1:1", "--target=127.0.0.1:1", "--raffle=7", "--clients=1", "--timeout=1s")
	var out strings.Builder
	if err := Run(t.Context(), cfg, &out, t.Output()); err == nil || !strings.Contains(err.Error(), "was not closed within 1s") {
		t.Errorf("%v\n%s", err, out.String())
	}
	bad := settings(t, "--gateway=gateway:80", "--target=nowhere", "--clients=0")
	err := Run(t.Context(), bad, &out, t.Output())
	for _, want := range []string{"--gateway=gateway:80", "--target=nowhere", "--clients=0", "--raffle (WATCH_RAFFLE) has no value"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in: %v", want, err)
		}
	}
}
