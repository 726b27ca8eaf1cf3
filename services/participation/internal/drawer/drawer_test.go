package drawer

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// dueStore is a database that has nothing but draws which are due.
type dueStore struct {
	Store

	due []raffle.Raffle
}

func (s *dueStore) DueDraws(context.Context) ([]raffle.Raffle, error) { return s.due, nil }

func (s *dueStore) Get(context.Context, int64) (raffle.Raffle, error) { return s.due[0], nil }

func TestDrawer_TellsHowLongDrawsAreOverdue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dueSince := func(ago time.Duration) raffle.Raffle {
			return raffle.Raffle{ID: 1, Log: &raffle.Log{Chain: "unknown", DrawsAt: time.Now().Add(-ago)}}
		}
		store := &dueStore{due: []raffle.Raffle{dueSince(time.Minute), dueSince(time.Second)}}
		failed := map[string]int{}
		d := New(store, Config{
			Draws: &raffle.Draws{Now: time.Now}, Log: slog.New(slog.DiscardHandler), OnFailed: func(reason string) { failed[reason]++ },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.Run(ctx)
		}()
		if got := d.Overdue(); got != 0 {
			t.Errorf("before the first pass %v", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := d.Overdue(); got != 70*time.Second {
			t.Errorf("while the draw can't be made %v", got)
		}
		if len(failed) != 1 || failed["chain_unknown"] < 2 {
			t.Errorf("failures %v", failed)
		}
		store.due = nil
		time.Sleep(interval)
		synctest.Wait()
		if got := d.Overdue(); got != 0 {
			t.Errorf("when none is due any more %v", got)
		}
		cancel()
		<-done
	})
}
