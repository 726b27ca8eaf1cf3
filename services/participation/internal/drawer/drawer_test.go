package drawer

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// dueStore is a database that has nothing but draws which are due.
type dueStore struct {
	Store

	due atomic.Pointer[[]raffle.Raffle]
}

func (s *dueStore) DueDraws(context.Context) ([]raffle.Raffle, error) { return *s.due.Load(), nil }

func (s *dueStore) Get(context.Context, int64) (raffle.Raffle, error) { return (*s.due.Load())[0], nil }

func TestDrawer_TellsHowLongDrawsAreOverdue(t *testing.T) {
	t.Parallel()
	for name, draws := range map[string]*raffle.Draws{"the chain is unknown": {Now: time.Now}, "draws are off": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testOverdue(t, draws, map[bool]string{true: "draws_off", false: "chain_unknown"}[draws == nil])
		})
	}
}

// testOverdue runs a drawer that can't make two draws which are due.
func testOverdue(t *testing.T, draws *raffle.Draws, reason string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dueSince := func(ago time.Duration) raffle.Raffle {
			return raffle.Raffle{ID: 1, Log: &raffle.Log{Chain: "unknown", DrawsAt: time.Now().Add(-ago)}}
		}
		store := &dueStore{}
		store.due.Store(&[]raffle.Raffle{dueSince(time.Minute), dueSince(time.Second)})
		failed := map[string]int{}
		d := New(store, Config{
			Draws: draws, Log: slog.New(slog.DiscardHandler), OnFailed: func(reason string) { failed[reason]++ },
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
		store.due.Store(&[]raffle.Raffle{})
		time.Sleep(interval)
		synctest.Wait()
		if got := d.Overdue(); got != 0 {
			t.Errorf("when none is due any more %v", got)
		}
		cancel()
		<-done
		if len(failed) != 1 || failed[reason] < 2 {
			t.Errorf("failures %v", failed)
		}
	})
}
