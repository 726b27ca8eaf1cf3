package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// recorder is a Store that says how it was called. Its transactions take 10 ms.
type recorder struct {
	mu      sync.Mutex
	batches [][]string
	err     error
}

func (r *recorder) EnterBatch(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	var members []string
	results := make([]raffle.EnterResult, len(reqs))
	for i, req := range reqs {
		members = append(members, req.MemberID)
		results[i].Entry = raffle.Entry{RaffleID: req.RaffleID, MemberID: req.MemberID}
		if req.MemberID == "refused" {
			results[i].Err = &raffle.EntryLimitError{RaffleID: req.RaffleID, Max: 1}
		}
	}
	r.mu.Lock()
	r.batches = append(r.batches, members)
	r.mu.Unlock()
	select {
	case <-time.After(10 * time.Millisecond):
		return results, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var config = Config{Lanes: 1, Queue: 100, Batch: 3, Timeout: time.Second, Log: slog.New(slog.DiscardHandler)}

// start runs a writer until the test's bubble ends.
func start(t *testing.T, store Store, cfg Config) (*Writer, context.CancelFunc) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := New(store, cfg)
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return w, stop
}

func member(i int) raffle.EnterRequest {
	return raffle.EnterRequest{RaffleID: 1, MemberID: fmt.Sprint(i)}
}

func TestCallsThatCameDuringACommitAreWrittenTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &recorder{}
		w, _ := start(t, store, config)
		var calls sync.WaitGroup
		for i := range 6 {
			calls.Go(func() {
				if res, err := w.Enter(t.Context(), member(i)); err != nil || res.Entry.MemberID != fmt.Sprint(i) {
					t.Errorf("member %d got %+v, %v", i, res, err)
				}
			})
			synctest.Wait() // in this order
		}
		calls.Wait()
		want := [][]string{{"0"}, {"1", "2", "3"}, {"4", "5"}} // at once, a full batch, the rest
		if !slices.EqualFunc(store.batches, want, slices.Equal) {
			t.Errorf("batches %v, want %v", store.batches, want)
		}
	})
}

func TestARefusalIsItsCallersAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := start(t, &recorder{}, config)
		var calls sync.WaitGroup
		for _, m := range []string{"first", "good", "refused", "fine"} {
			calls.Go(func() {
				_, err := w.Enter(t.Context(), raffle.EnterRequest{RaffleID: 1, MemberID: m})
				if _, limit := errors.AsType[*raffle.EntryLimitError](err); limit != (m == "refused") {
					t.Errorf("%s: %v", m, err)
				}
			})
		}
		calls.Wait()
	})
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config
		cfg.Queue = 2
		w, _ := start(t, &recorder{}, cfg)
		var calls sync.WaitGroup
		for i := range 3 { // one being written, two waiting
			calls.Go(func() {
				if _, err := w.Enter(t.Context(), member(i)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if w.Waiting() != 2 {
			t.Errorf("%d wait", w.Waiting())
		}
		if _, err := w.Enter(t.Context(), member(3)); !errors.Is(err, raffle.ErrBusy) {
			t.Errorf("got %v", err)
		}
		calls.Wait()
	})
}

func TestACallGivenUpInTheQueueIsNotWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &recorder{}
		w, _ := start(t, store, config)
		var calls sync.WaitGroup
		calls.Go(func() { _, _ = w.Enter(t.Context(), member(0)) })
		synctest.Wait()
		ctx, giveUp := context.WithCancel(t.Context())
		calls.Go(func() {
			if _, err := w.Enter(ctx, member(1)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		calls.Go(func() { _, _ = w.Enter(t.Context(), member(2)) })
		synctest.Wait()
		giveUp()
		calls.Wait()
		if want := [][]string{{"0"}, {"2"}}; !slices.EqualFunc(store.batches, want, slices.Equal) {
			t.Errorf("batches %v, want %v", store.batches, want)
		}
	})
}

func TestAFailedTransactionIsToldToAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		defect := errors.New("defect")
		w, _ := start(t, &recorder{err: defect}, config)
		var calls sync.WaitGroup
		for i := range 4 {
			calls.Go(func() {
				if _, err := w.Enter(t.Context(), member(i)); !errors.Is(err, defect) {
					t.Errorf("got %v", err)
				}
			})
		}
		calls.Wait()
	})
}

func TestATransactionThatHangsIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config
		cfg.Timeout = time.Millisecond
		w, _ := start(t, &recorder{}, cfg)
		if _, err := w.Enter(t.Context(), member(0)); !errors.Is(err, raffle.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

func TestStoppingAnswersWhatIsQueuedAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, stop := start(t, &recorder{}, config)
		var calls sync.WaitGroup
		for i := range 10 {
			calls.Go(func() {
				if _, err := w.Enter(t.Context(), member(i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		stop()
		calls.Wait()
		synctest.Wait()
		if _, err := w.Enter(t.Context(), member(10)); !errors.Is(err, raffle.ErrUnavailable) {
			t.Errorf("after the stop: %v", err)
		}
	})
}
