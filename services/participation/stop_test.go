package participation_test

import (
	"context"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation"
)

func TestRun_StopLosesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 1000})
	acknowledged := 0
	var calling sync.WaitGroup
	var mu sync.Mutex
	halfway := make(chan struct{}, 1000)
	for range 16 {
		calling.Go(func() {
			for {
				_, err := b.entries.Enter(context.WithoutCancel(t.Context()), &rafflev1.EnterRequest{RaffleId: 1, MemberId: uuid.NewString()})
				if err != nil {
					return
				}
				mu.Lock()
				acknowledged++
				mu.Unlock()
				select {
				case halfway <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 100 {
		<-halfway
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	calling.Wait()
	o := b.published(t, 1)
	if int(o.GetEntries()) < acknowledged {
		t.Errorf("%d were acknowledged, the last odds say %d", acknowledged, o.GetEntries())
	}
}

func TestRun_StopDoesNotWaitForTheConflationInterval(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	b.cfg.ConflationInterval = time.Minute
	b.start(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	b.awaitVersions(t, 1)
	b.enter(t, 1, "m")
	began := time.Now()
	if err := b.stop(); err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("stopped after %v: %v", time.Since(began), err)
	}
	if v := b.published(t, 1).GetVersion(); v != 2 {
		t.Errorf("version %d is published", v)
	}
}

func TestRun_StopDoesNotWaitForASilentConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	silent, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.at.GRPC.String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	if err := b.stop(); err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("stopped after %v: %v", time.Since(began), err)
	}
}

func TestRun_SetsGCPercent(t *testing.T) {
	t.Parallel()
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC takes precedence")
	}
	b := setup(t)
	if before := debug.SetGCPercent(b.cfg.GCPercent); before != b.cfg.GCPercent || before == 100 {
		t.Errorf("the garbage collector ran at %d %%", before)
	}
}

func TestRun_ReportsBadSettings(t *testing.T) {
	t.Parallel()
	cfg := participation.DefaultConfig()
	cfg.GRPCAddress, cfg.Queue, cfg.NATSURL = "nowhere", 0, ""
	cfg.NATSCA, cfg.NATSCredentials = "/absent/ca.crt", "/absent/p.creds"
	err := participation.Run(t.Context(), cfg)
	for _, want := range []string{
		"--grpc-address=nowhere", "--queue=0: must be 1 to 1000000", "--database-url", "--nats-url",
		"--nats-ca=/absent/ca.crt: must be a PEM file", "--nats-credentials=/absent/p.creds: must be a .creds file",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestRun_FailsIfAPortIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := unreachable()
	cfg.GRPCAddress = taken.Addr().String()
	err = participation.Run(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "--grpc-address") {
		t.Errorf("got %v", err)
	}
}

func TestRun_FailsIfTheDatabaseDoesNotBecomeReady(t *testing.T) {
	t.Parallel()
	cfg := unreachable()
	cfg.StartTimeout = 10 * time.Millisecond
	if err := participation.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "database was not ready within 10ms") {
		t.Errorf("got %v", err)
	}
}

// unreachable returns a configuration with a database and a NATS that do not exist.
func unreachable() participation.Config {
	cfg := participation.DefaultConfig()
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.DatabaseURL, cfg.NATSURL = "postgres://127.0.0.1:1/none", "nats://127.0.0.1:1"
	return cfg
}
