package demo

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/localdraw"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// times are paces for tests. A draw may be due no sooner than after ten seconds.
var times = Times{Open: time.Second, Lead: 500 * time.Millisecond, Delay: 10 * time.Second, Pause: time.Millisecond}

// system is a service that draws, and the demo beside it.
type system struct {
	t      *testing.T
	client *connect.Client
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func setup(t *testing.T) (*system, connect.Service) {
	t.Helper()
	draws, err := localdraw.Start(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(draws.Stop)
	p := servicetest.StartParticipation(t, natstest.Start(t).URL(), func(c *participation.Config) {
		c.DrawSettings = participation.DrawSettings{
			DrawKey:    draws.KeyFile(),
			DrawChains: draws.ChainFile(),
			DrawRelays: draws.URL(),
		}
	})
	service := connect.Service{Target: p.GRPC}
	client, err := service.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &system{t, client, &lockedBuffer{}}, service
}

// start runs the demo until stop is called.
func (s *system) start(service connect.Service, limit int) (stop func()) {
	s.t.Helper()
	client, err := service.Connect(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() {
		defer client.Close()
		ended <- run(ctx, &demo{client: client, log: slog.New(slog.NewTextHandler(s.log, nil)), times: times, limit: limit, most: maxEntries})
	}()
	return func() {
		cancel()
		if err := testenv.Receive(s.t, "the end of the demo", time.Minute, ended); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *system) raffles() []*rafflev1.Raffle {
	resp, err := s.client.Raffles.ListRaffles(s.t.Context(), &rafflev1.ListRafflesRequest{PageSize: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.GetRaffles()
}

// await waits until a raffle is as ok wants it.
func (s *system) await(what string, ok func(*rafflev1.Raffle) bool) {
	s.t.Helper()
	testenv.Eventually(s.t, what, time.Minute, func() bool {
		return slices.ContainsFunc(s.raffles(), ok)
	})
}

func TestDemo_RafflesOpenCloseAndAreDrawn(t *testing.T) {
	t.Parallel()
	s, service := setup(t)
	other, err := s.client.Raffles.CreateRaffle(
		t.Context(),
		&rafflev1.CreateRaffleRequest{Title: longTitle, Winners: 1},
	)
	if err != nil {
		t.Fatal(err)
	}
	stop := s.start(service, MaxRaffles)
	s.await("a scheduled raffle", func(r *rafflev1.Raffle) bool { return r.GetState() == rafflev1.Raffle_SCHEDULED })
	s.await("a drawn raffle that members have entered", func(r *rafflev1.Raffle) bool {
		return r.GetState() == rafflev1.Raffle_DRAWN && r.GetEntries() > 0
	})
	s.await("another raffle in its place", func(r *rafflev1.Raffle) bool {
		return r.GetId() > other.GetRaffle().GetId()+3 && r.GetState() == rafflev1.Raffle_OPEN
	})
	s.await("a long raffle with entries", func(r *rafflev1.Raffle) bool {
		return r.GetState() == rafflev1.Raffle_OPEN && r.GetClosesAt() == nil && r.GetEntries() > 0
	})
	stop()
	for _, r := range s.raffles() {
		if r.GetId() == other.GetRaffle().GetId() && r.GetEntries() > 0 {
			t.Error("the demo has entered a raffle that is not its own")
		}
	}
	if strings.Contains(s.log.String(), "WARN") {
		t.Error(s.log.String())
	}
}

func TestDemo_CreatesSoManyRafflesAndNoMore(t *testing.T) {
	t.Parallel()
	s, service := setup(t)
	const limit = 4
	stop := s.start(service, limit)
	s.await("the last raffle", func(r *rafflev1.Raffle) bool {
		return len(s.raffles()) == limit && r.GetState() == rafflev1.Raffle_CLOSED
	})
	stop()
	before := s.raffles()[0].GetEntries()
	stop = s.start(service, limit) // which counts those of the first run
	s.await(
		"entries after a restart",
		func(r *rafflev1.Raffle) bool { return r.GetId() == 1 && r.GetEntries() > before+20 },
	)
	stop()
	if n := len(s.raffles()); n != limit || !strings.Contains(s.log.String(), "has created all raffles that it may") {
		t.Errorf("%d raffles\n%s", n, s.log.String())
	}
}

func TestDemo_TheLongRaffleStaysWithinItsBound(t *testing.T) {
	t.Parallel()
	s, _ := setup(t)
	const most = 15
	d := &demo{client: s.client, log: slog.New(slog.DiscardHandler), times: times, limit: 1, most: most}
	if err := d.createLong(t.Context()); err != nil {
		t.Fatal(err)
	}
	greatest, fell := int64(0), false
	for range 8 * most {
		if err := d.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		entries := s.raffles()[0].GetEntries()
		fell = fell || entries < greatest
		greatest = max(greatest, entries)
	}
	if greatest != most || !fell {
		t.Errorf("at most %d entries, want %d; it fell: %v", greatest, most, fell)
	}
}
