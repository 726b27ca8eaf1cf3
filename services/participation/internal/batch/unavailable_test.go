package batch

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// hanging is a store whose database has vanished: transactions wait for their timeout.
type hanging struct {
	*fakeStore
	gone atomic.Bool
}

func (s *hanging) EnterBatch(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	if s.gone.Load() {
		s.begin(reqs, nil)
		defer s.end(reqs)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.fakeStore.EnterBatch(ctx, reqs)
}

func TestWriter_FailsCallsAtOnceWhileTheDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &hanging{fakeStore: &fakeStore{}}
		var away atomic.Bool
		failed := 0
		cfg := testConfig
		cfg.Timeout = 10 * time.Second
		cfg.OnWritten = func(o Outcome) { failed += o.Failed }
		cfg.Available = func() error {
			if away.Load() {
				return errors.New("it does not answer")
			}
			return nil
		}
		w, _ := start(t, store, cfg)
		enter := func(want time.Duration, wantErr error) {
			t.Helper()
			began := time.Now()
			_, err := w.Enter(t.Context(), entry("0"))
			if !errors.Is(err, wantErr) || time.Since(began) != want {
				t.Errorf("answered after %v by %v, want after %v by %v", time.Since(began), err, want, wantErr)
			}
		}
		away.Store(true)
		enter(10*time.Millisecond, nil) // the database is slow, but it writes
		store.gone.Store(true)
		enter(10*time.Second, raffle.ErrUnavailable) // the first call must try
		enter(0, raffle.ErrUnavailable)
		enter(0, raffle.ErrUnavailable)
		if failed != 3 {
			t.Errorf("%d calls were reported as failed, want 3", failed)
		}
		store.gone.Store(false)
		away.Store(false)
		enter(10*time.Millisecond, nil)
	})
}
