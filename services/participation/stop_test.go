package participation_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation"
)

func TestStoppingLosesNothing(t *testing.T) {
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

func TestAConnectionThatSaysNothingDoesNotHoldUpTheStop(t *testing.T) {
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

func TestBadSettingsStopTheStart(t *testing.T) {
	t.Parallel()
	cfg := participation.DefaultConfig()
	cfg.GRPCAddress, cfg.Queue = "nowhere", 0
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
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg = participation.DefaultConfig()
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = taken.Addr().String(), "127.0.0.1:0", "127.0.0.1:0"
	cfg.DatabaseURL, cfg.NATSURL = "postgres://127.0.0.1:1/none", "nats://127.0.0.1:1"
	err = participation.Run(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "--grpc-address") {
		t.Errorf("taken port: %v", err)
	}
	cfg.GRPCAddress, cfg.StartTimeout = "127.0.0.1:0", 10*time.Millisecond
	if err = participation.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "database was not ready") {
		t.Errorf("no database: %v", err)
	}
}
