package postgres_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestStore_ApplyScheduleOpensAndCloses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	far := time.Now().Add(time.Hour)
	opens := b.create(t, raffle.Raffle{OpensAt: far})
	closes := b.create(t, raffle.Raffle{ClosesAt: far})
	stays := b.create(t, raffle.Raffle{OpensAt: far})
	if n, _, err := b.ApplySchedule(t.Context()); n != 0 || err != nil {
		t.Errorf("too early: %d, %v", n, err)
	}
	// The hour passes.
	if _, err := b.pool.Exec(t.Context(), `UPDATE raffles SET opens_at = opens_at - interval '2 hours', closes_at = closes_at - interval '2 hours' WHERE id <> $1`, stays.ID); err != nil {
		t.Fatal(err)
	}
	var advanced sync.WaitGroup
	for range 4 { // instances
		advanced.Go(func() {
			if _, _, err := b.ApplySchedule(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	advanced.Wait()
	for id, want := range map[int64]raffle.State{opens.ID: raffle.Open, closes.ID: raffle.Closed, stays.ID: raffle.Scheduled} {
		r := b.verify(t, id)
		if r.State != want || (r.Version == 2) != (want != raffle.Scheduled) {
			t.Errorf("raffle %d: %+v", id, r)
		}
		if !slices.Contains(b.enqueued(), r) {
			t.Errorf("raffle %d: %+v is not among %+v", id, r, b.enqueued())
		}
	}
}

func TestStore_CountsOpenRaffles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, raffle.Raffle{})
	b.create(t, raffle.Raffle{OpensAt: time.Now().Add(time.Minute)}) // scheduled
	for _, after := range []time.Duration{10 * time.Minute, 50 * time.Minute, 70 * time.Minute} {
		b.create(t, raffle.Raffle{ClosesAt: time.Now().Add(after)})
	}
	closed := b.create(t, raffle.Raffle{ClosesAt: time.Now().Add(time.Minute)})
	if _, err := b.Close(t.Context(), closed.ID, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	if got, err := b.CountOpenRaffles(t.Context()); err != nil || got != (postgres.OpenRaffles{Open: 4, ClosingSoon: 2}) {
		t.Errorf("%+v, %v", got, err)
	}
}
