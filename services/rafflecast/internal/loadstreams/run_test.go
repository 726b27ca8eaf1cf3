package loadstreams

import (
	"fmt"
	"strings"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/rafflecast/load"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// awaitClients waits until every client has connected for the nth time, and has odds.
func awaitClients(t *testing.T, r *run, connects int) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for i, c := range r.clients {
		for !c.history.isConnected(connects) || !c.history.hasOdds() {
			select {
			case <-r.changes:
			case <-timeout:
				t.Fatalf("client %d did not connect for the %d. time within 30 s", i, connects)
			}
		}
	}
}

func (h *history) isConnected(connects int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.connected && h.counts.connects >= connects
}

func (h *history) hasOdds() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.version > 0
}

// The gateway is replaced while members enter.
func TestLoadStreams_FindsNoFaultIfAGatewayIsReplaced(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t).URL()
	target := servicetest.StartParticipation(t, nats).GRPC
	address := testenv.FreeAddress(t)
	startGateway := func() *servicetest.Gateway {
		return servicetest.StartGateway(t, nats, func(cfg *gateway.Config) {
			cfg.Address, cfg.RetryMin, cfg.RetryMax, cfg.DrainWindow = address, 50*time.Millisecond, 100*time.Millisecond, 300*time.Millisecond
		})
	}
	first := startGateway()
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
	enter := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := entries.Enter(
				t.Context(),
				&rafflev1.EnterRequest{RaffleId: id, MemberId: fmt.Sprint("m", i)},
			); err != nil {
				t.Error(err)
			}
		}
	}

	cfg := settings(
		t,
		"--gateway=http://"+address,
		"--target=dns:///"+target,
		fmt.Sprint(id),
		"--clients=60",
		"--over=100ms",
	)
	var out strings.Builder
	watched := make(chan error, 1)
	r, err := newRun(cfg)
	if err != nil {
		t.Fatal(err)
	}
	go func() { watched <- r.watch(t.Context(), conns[0], &out, t.Output()) }()
	awaitClients(t, r, 1)
	enter(0, 50)
	first.Stop()
	enter(50, 100)
	startGateway()
	awaitClients(t, r, 2)
	enter(100, 150)
	if _, err := raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: id}); err != nil {
		t.Fatal(err)
	}
	if err := <-watched; err != nil || !strings.Contains(out.String(), "RESULT faults 0\n") ||
		strings.Contains(out.String(), "RESULT longest_gap_ms 0\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestLoadStreams_FailsIfTheRaffleStaysOpen(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "--gateway=http://127.0.0.1:1", "--target=127.0.0.1:1", "7", "--clients=1", "--timeout=1s")
	var out strings.Builder
	if err := Run(
		t.Context(),
		cfg,
		&out,
		t.Output(),
	); err == nil ||
		!strings.Contains(err.Error(), "was not closed within 1s") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestConfig_ReportsAllErrors(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "--gateway=gateway:80", "--target=nowhere", "--clients=0")
	var out strings.Builder
	err := Run(t.Context(), cfg, &out, t.Output())
	for _, want := range []string{"--gateway=gateway:80", "--target=nowhere", "--clients=0", "<raffle> has no value"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in: %v", want, err)
		}
	}
}
