package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

var testConfig = Config{Partitions: 1, Queue: 100, Batch: 3, Timeout: time.Second, Log: slog.New(slog.DiscardHandler)}

func TestWriter_GathersABatchDuringTheCommitBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{}
		w, _ := start(t, store, testConfig)
		var calls sync.WaitGroup
		for i := range 6 {
			member := fmt.Sprint(i)
			calls.Go(func() {
				if res, err := w.Enter(t.Context(), entry(member)); err != nil || res.Entry.MemberID != member {
					t.Errorf("member %s got %+v, %v", member, res, err)
				}
			})
			synctest.Wait() // so that they are queued in this order
		}
		calls.Wait()
		store.wantBatches(t, []string{"0"}, []string{"1", "2", "3"}, []string{"4", "5"}) // at once, a full batch, the rest
	})
}

func TestWriter_WritesALoneCallAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := start(t, &fakeStore{}, testConfig)
		began := time.Now()
		if _, err := w.Enter(t.Context(), entry("0")); err != nil || time.Since(began) != 10*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestWriter_WritesPartitionsSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig
		cfg.Partitions = 2
		store := &fakeStore{}
		w, _ := start(t, store, cfg)
		var futures []*Future
		for _, id := range []int64{1, 2, 3, 4} { // 1 and 3 share a partition, so do 2 and 4
			futures = append(futures, w.Submit(t.Context(), raffle.EnterRequest{RaffleID: id, MemberID: fmt.Sprint(id)}))
			synctest.Wait()
		}
		for _, f := range futures {
			if _, err := f.Result(); err != nil {
				t.Error(err)
			}
		}
		if store.atOnce != 2 || len(store.batches) != 4 {
			t.Errorf("%d transactions at once, want one per partition; batches %v", store.atOnce, store.batches)
		}
	})
}

func TestWriter_AnswersEachCallByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := start(t, &fakeStore{}, testConfig)
		var calls sync.WaitGroup
		for _, m := range []string{"first", "good", "refused", "fine"} {
			calls.Go(func() {
				res, err := w.Enter(t.Context(), entry(m))
				if _, limit := errors.AsType[*raffle.EntryLimitError](err); limit != (m == "refused") || res.Entry.MemberID != m {
					t.Errorf("%s: %+v, %v", m, res, err)
				}
			})
		}
		calls.Wait()
	})
}

func TestWriter_AnswersEachCallOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig
		cfg.Queue = 4
		w, stop := start(t, &fakeStore{}, cfg)
		var mu sync.Mutex
		answers := map[int64]int{}
		submit := w.Submitter(func(id int64, _ *raffle.EnterResult) {
			mu.Lock()
			defer mu.Unlock()
			answers[id]++
		})
		given, giveUp := context.WithCancel(t.Context())
		for i := range int64(10) { // more than fit
			ctx := t.Context()
			if i%2 == 0 {
				ctx = given
			}
			submit(ctx, i, entry("refused"))
		}
		giveUp()
		stop()
		submit(t.Context(), 10, entry("refused")) // too late
		mu.Lock()
		defer mu.Unlock()
		for i := range int64(11) {
			if answers[i] != 1 {
				t.Errorf("call %d was answered %d times", i, answers[i])
			}
		}
	})
}

func TestWriter_RefusesCallsWhenThePartitionIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg, refused := testConfig, 0
		cfg.Queue, cfg.OnRefused = 2, func() { refused++ }
		w, _ := start(t, &fakeStore{}, cfg)
		var futures []*Future
		for i := range 4 { // one being written, one that would follow it, two waiting
			futures = append(futures, w.Submit(t.Context(), entry(fmt.Sprint(i))))
			synctest.Wait()
		}
		if w.Waiting() != 2 || refused != 0 {
			t.Errorf("%d wait, %d were refused", w.Waiting(), refused)
		}
		if _, err := w.Enter(t.Context(), entry("4")); !errors.Is(err, raffle.ErrBusy) || refused != 1 {
			t.Errorf("got %v, %d were refused", err, refused)
		}
		for _, f := range futures {
			if _, err := f.Result(); err != nil {
				t.Error(err)
			}
		}
		if w.Waiting() != 0 {
			t.Errorf("%d wait after all were written", w.Waiting())
		}
	})
}

func TestWriter_LeavesOutCallsThatWereGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{}
		w, _ := start(t, store, testConfig)
		w.Submit(t.Context(), entry("0"))
		synctest.Wait()
		reason := errors.New("the caller hung up")
		ctx, giveUp := context.WithCancelCause(t.Context())
		given := w.Submit(ctx, entry("1"))
		kept := w.Submit(t.Context(), entry("2"))
		synctest.Wait()
		giveUp(reason)
		if _, err := given.Result(); !errors.Is(err, reason) {
			t.Errorf("the call that was given up got %v", err)
		}
		if res, err := kept.Result(); err != nil || res.Entry.MemberID != "2" {
			t.Errorf("the other call got %+v, %v", res, err)
		}
		store.wantBatches(t, []string{"0"}, []string{"2"})
	})
}

func TestWriter_FailsAllCallsOfAFailedTransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		defect := errors.New("defect")
		w, _ := start(t, &fakeStore{err: defect}, testConfig)
		var calls sync.WaitGroup
		for i := range 4 {
			calls.Go(func() {
				if _, err := w.Enter(t.Context(), entry(fmt.Sprint(i))); !errors.Is(err, defect) {
					t.Errorf("got %v", err)
				}
			})
		}
		calls.Wait()
	})
}

func TestWriter_FailsABatchThatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig
		cfg.Timeout = time.Millisecond
		w, _ := start(t, &fakeStore{}, cfg)
		if _, err := w.Enter(t.Context(), entry("0")); !errors.Is(err, raffle.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWriter_ReportsTheOutcomeOfEachBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, cfg := &fakeStore{}, testConfig
		var outcomes []Outcome
		placed := map[int64]int{}
		cfg.Batch, cfg.OnWritten = 10, func(o Outcome) { outcomes = append(outcomes, o) }
		cfg.OnPlaced = func(raffleID int64, entries int) { placed[raffleID] += entries }
		w, stop := start(t, store, cfg)
		w.Submit(t.Context(), entry("first"))
		synctest.Wait()
		var last *Future
		for _, m := range []string{"a", "refused", "b", "replayed", "c", "replayed"} {
			last = w.Submit(t.Context(), entry(m))
			if m == "refused" {
				last = w.Submit(t.Context(), raffle.EnterRequest{RaffleID: 2, MemberID: "of another"})
			}
		}
		if _, err := last.Result(); err != nil {
			t.Error(err)
		}
		store.err = errors.New("defect")
		w.Submit(t.Context(), entry("d"))
		stop()
		const took = 10 * time.Millisecond
		want := []Outcome{
			{Placed: 1, Duration: took},
			{Placed: 4, Replayed: 2, Rejected: 1, Duration: took},
			{Failed: 1, Duration: took},
		}
		if !slices.Equal(outcomes, want) {
			t.Errorf("outcomes %+v, want %+v", outcomes, want)
		}
		if want := map[int64]int{1: 4, 2: 1}; !maps.Equal(placed, want) {
			t.Errorf("placed %v, want %v", placed, want)
		}
	})
}

func TestWriter_StopWritesWhatIsQueuedAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{}
		w, stop := start(t, store, testConfig)
		var futures []*Future
		for i := range 10 {
			futures = append(futures, w.Submit(t.Context(), entry(fmt.Sprint(i))))
		}
		stop()
		for i, f := range futures {
			if res, err := f.Result(); err != nil || res.Entry.MemberID != fmt.Sprint(i) {
				t.Errorf("call %d: %+v, %v", i, res, err)
			}
		}
		if _, err := w.Enter(t.Context(), entry("late")); !errors.Is(err, raffle.ErrUnavailable) {
			t.Errorf("after the stop: %v", err)
		}
	})
}

// TestWriter_StopMayComeAtAnyTime stops writers while calls come in.
func TestWriter_StopMayComeAtAnyTime(t *testing.T) {
	t.Parallel()
	for range 50 {
		cfg := testConfig
		cfg.Partitions, cfg.Queue = 3, 5
		w, stop := start(t, instantStore{}, cfg)
		var calling sync.WaitGroup
		for i := range 4 {
			calling.Go(func() {
				for id := range int64(100) {
					_, err := w.Enter(t.Context(), raffle.EnterRequest{RaffleID: id})
					if err != nil && !errors.Is(err, raffle.ErrBusy) && !errors.Is(err, raffle.ErrUnavailable) {
						t.Error(err)
					}
					if i == 0 && id == 50 {
						stop()
					}
				}
			})
		}
		calling.Wait()
	}
}

func TestWriter_LogsOnceInAWhileThatTheDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{{raffle.ErrUnavailable, 1}, {errors.New("defect"), 3}} {
		synctest.Test(t, func(t *testing.T) {
			cfg, log := testConfig, bytes.Buffer{}
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			w, stop := start(t, &fakeStore{err: c.err}, cfg)
			for range 3 {
				if _, err := w.Enter(t.Context(), entry("m")); !errors.Is(err, c.err) {
					t.Error(err)
				}
			}
			stop()
			if strings.Count(log.String(), "level=ERROR") != c.want {
				t.Errorf("%v: logged\n%s", c.err, log.String())
			}
		})
	}
}
