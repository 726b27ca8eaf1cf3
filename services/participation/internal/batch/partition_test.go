package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestPartition_FollowsABatchOnceThereAreEnoughCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newPipeStore(t)
		w, stop := pipelined(t, store, testConfig)
		time.Sleep(time.Millisecond)
		submitAll(t.Context(), w, "a", "b")
		time.Sleep(2 * time.Millisecond)
		submitAll(t.Context(), w, "c")
		time.Sleep(time.Millisecond)
		submitAll(t.Context(), w, "d") // too few to follow, until both are written
		time.Sleep(20 * time.Millisecond)
		stop()
		store.wantSent("0s batch 0 1 2 3 4", "3ms next a b c", "20ms batch d")
	})
}

func TestPartition_BatchThatCantFollowIsWrittenAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spans, log := tracetest.NewSpanRecorder(), bytes.Buffer{}
		tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
		var outcomes []Outcome
		cfg := testConfig
		cfg.Tracer, cfg.Log = tracer, slog.New(slog.NewTextHandler(&log, nil))
		cfg.OnWritten = func(o Outcome) { outcomes = append(outcomes, o) }
		store := newPipeStore(t)
		store.next = cantFollow
		w, stop := pipelined(t, store, cfg)
		ctx, first := tracer.Start(t.Context(), "call")
		submitAll(ctx, w, "a")
		ctx, second := tracer.Start(t.Context(), "call")
		time.Sleep(3 * time.Millisecond)
		futures := submitAll(ctx, w, "b", "c")
		time.Sleep(time.Millisecond)
		futures = append(futures, submitAll(t.Context(), w, "d")...)
		wantNoErrors(t, futures)
		stop()
		store.wantSent("0s batch 0 1 2 3 4", "10ms batch a b c d")
		const took = 10 * time.Millisecond
		if want := []Outcome{{Placed: 5, Duration: took}, {Placed: 4, Duration: took}}; !slices.Equal(outcomes, want) {
			t.Errorf("outcomes %+v, want %+v", outcomes, want)
		}
		first.End()
		second.End()
		ended := spans.Ended()
		if len(ended) != 3 || len(ended[2].Links()) != 1 {
			t.Errorf("%d spans", len(ended))
		}
		if log.Len() > 0 {
			t.Errorf("logged %s", log.String())
		}
	})
}

// If a batch can't follow, but that is known only after the one before is written, it is written
// at once.
func TestPartition_BatchThatFindsLateThatItCantFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newPipeStore(t)
		store.next = func() error {
			time.Sleep(15 * time.Millisecond)
			return raffle.ErrNotNext
		}
		w, stop := pipelined(t, store, testConfig)
		submitAll(t.Context(), w, "a", "b", "c")
		time.Sleep(12 * time.Millisecond)
		submitAll(t.Context(), w, "d")
		stop()
		store.wantSent("0s batch 0 1 2 3 4", "15ms batch a b c", "25ms batch d")
	})
}

func TestPartition_WritesALoneCallAtOnceAfterABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newPipeStore(t)
		w, _ := pipelined(t, store, testConfig)
		time.Sleep(15 * time.Millisecond)
		wantNoErrors(t, submitAll(t.Context(), w, "a"))
		store.wantSent("0s batch 0 1 2 3 4", "15ms batch a")
	})
}

// Two batches are under way at most, whose order is that in which they were sent.
func TestPartition_KeepsTwoBatchesUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig
		cfg.Batch = 5
		store := newPipeStore(t)
		w := New(store, cfg)
		futures := submitAll(t.Context(), w, strings.Split("0123456789abcdefghij", "")...)
		run(t, w)
		wantNoErrors(t, futures)
		store.wantSent("0s batch 0 1 2 3 4", "0s next 5 6 7 8 9", "10ms next a b c d e", "20ms next f g h i j")
	})
}

// A batch has its whole time-out for itself if the one before takes all of its own.
func TestPartition_TimeoutBeginsAfterTheBatchBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		next  func() error
		takes time.Duration
		fails error
	}{
		"follows":                      {takes: 900 * time.Millisecond},
		"follows and takes too long":   {takes: 2 * time.Second, fails: raffle.ErrUnavailable},
		"can't follow":                 {next: cantFollow, takes: 900 * time.Millisecond},
		"can't follow, takes too long": {next: cantFollow, takes: 2 * time.Second, fails: raffle.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newPipeStore(t)
				store.next = c.next
				store.took["0"], store.took["a"] = time.Hour, c.takes
				w, _ := pipelined(t, store, testConfig)
				time.Sleep(time.Millisecond)
				for _, f := range submitAll(t.Context(), w, "a", "b", "c") {
					if _, err := f.Result(); !errors.Is(err, c.fails) {
						t.Errorf("got %v, want %v", err, c.fails)
					}
				}
				if took, want := time.Since(store.began), time.Second+min(c.takes, time.Second); took != want {
					t.Errorf("answered after %v, want %v", took, want)
				}
			})
		})
	}
}

// A batch that fails before the one that it follows lets no other begin.
func TestPartition_WaitsForTheBatchBeforeOneThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, lost := newPipeStore(t), errors.New("connection lost")
		store.next = func() error { return lost }
		w, stop := pipelined(t, store, testConfig)
		for _, f := range submitAll(t.Context(), w, "a", "b", "c") {
			if _, err := f.Result(); !errors.Is(err, lost) {
				t.Errorf("got %v", err)
			}
		}
		submitAll(t.Context(), w, "d")
		stop()
		store.wantSent("0s batch 0 1 2 3 4", "10ms batch d")
	})
}

func TestPartition_LeavesOutCallsThatWereGivenUpWhileTheyWaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newPipeStore(t)
		store.next = cantFollow
		w, _ := pipelined(t, store, testConfig)
		reason := errors.New("the caller hung up")
		ctx, giveUp := context.WithCancelCause(t.Context())
		given := submitAll(ctx, w, "a")[0]
		kept := submitAll(t.Context(), w, "b", "c")
		synctest.Wait()
		giveUp(reason)
		if _, err := given.Result(); !errors.Is(err, reason) {
			t.Errorf("the call that was given up got %v", err)
		}
		wantNoErrors(t, kept)
		store.wantSent("0s batch 0 1 2 3 4", "10ms batch b c")
	})
}

func TestPartition_StopWritesWhatIsQueued(t *testing.T) {
	t.Parallel()
	for _, next := range []error{nil, raffle.ErrNotNext, errors.New("defect")} {
		synctest.Test(t, func(t *testing.T) {
			store := newPipeStore(t)
			store.next = func() error { return next }
			w, stop := pipelined(t, store, testConfig)
			var futures []*Future
			for i := range 50 {
				futures = append(futures, w.Submit(t.Context(), entry(fmt.Sprint(i))))
			}
			stop()
			for i, f := range futures {
				if _, err := f.Result(); err != nil && !errors.Is(err, next) || errors.Is(err, raffle.ErrNotNext) {
					t.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
}

func TestPartition_CallsForLockedRafflesDoNotFollow(t *testing.T) {
	t.Parallel()
	for _, next := range []error{nil, raffle.ErrNotNext} {
		synctest.Test(t, func(t *testing.T) {
			store := newPipeStore(t)
			store.next = func() error { return next }
			cfg := testConfig
			cfg.Batch = 10
			w, stop := start(t, store, cfg)
			locked := func(m string) *Future {
				return w.Submit(t.Context(), raffle.EnterRequest{RaffleID: 100, MemberID: m})
			}
			wantNoErrors(t, []*Future{locked("x")}) // is found locked, which it remains for a while
			var futures []*Future
			for _, m := range []string{"0", "1"} {
				futures = append(futures, w.Submit(t.Context(), entry(m)))
				synctest.Wait() // until it is sent, or waits
			}
			futures = append(futures, locked("y"), w.Submit(t.Context(), entry("2")), locked("z"))
			stop()
			wantNoErrors(t, futures)
			for _, sent := range store.sent[1:] {
				if strings.ContainsAny(sent, "yz") {
					t.Errorf("sent %q", sent)
				}
			}
		})
	}
}

// Single calls have half of a batch that waits, though streams had all of it before. The entries
// of streams that give way come first in the next one.
func TestPartition_SingleCallsHaveTheirShareOfABatchThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig
		cfg.Batch = 4
		store := newPipeStore(t)
		store.next = cantFollow
		w := New(store, cfg)
		submit := w.Submitter(func(int64, *raffle.EnterResult) {})
		for i := range 10 {
			submit(t.Context(), 0, entry(fmt.Sprint(i)))
		}
		stop := run(t, w)
		time.Sleep(5 * time.Millisecond)
		submitAll(t.Context(), w, "a", "b", "c")
		time.Sleep(40 * time.Millisecond)
		stop()
		store.wantSent("0s batch 0 1 2 3", "10ms batch 4 5 a b", "20ms batch 6 7 c 8", "30ms batch 9")
	})
}

func TestPartition_SharesABatchThatFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig
		cfg.Batch = 4
		store := newPipeStore(t)
		w := New(store, cfg)
		submit := w.Submitter(func(int64, *raffle.EnterResult) {})
		for range 8 {
			w.Submit(t.Context(), entry("single"))
			submit(t.Context(), 1, entry("stream"))
		}
		run(t, w)()
		for i, sent := range store.sent {
			if strings.Count(sent, "single") != 2 || strings.Count(sent, "stream") != 2 ||
				i > 0 && !strings.Contains(sent, "next") {
				t.Errorf("batch %d: %s", i, sent)
			}
		}
	})
}

// Each call is answered once, whatever becomes of the batches that follow.
func TestPartition_AnswersEachCallOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newPipeStore(t)
		var n atomic.Int64
		store.next = func() error {
			return []error{nil, raffle.ErrNotNext, errors.New("defect"), nil}[n.Add(1)%4]
		}
		cfg := testConfig
		cfg.Queue = 20
		w, stop := start(t, store, cfg)
		const callers, each = 8, 200
		answers := make([]atomic.Int64, callers*each)
		var calling sync.WaitGroup
		for caller := range callers {
			calling.Go(func() {
				submit := w.Submitter(func(id int64, _ *raffle.EnterResult) { answers[id].Add(1) })
				for i := range each {
					ctx, giveUp := context.WithTimeout(t.Context(), time.Duration(i%7)*5*time.Millisecond)
					defer giveUp()
					submit(ctx, int64(caller*each+i), entry("m"))
					if i%3 == 0 {
						w.Submit(ctx, entry("m"))
						time.Sleep(3 * time.Millisecond)
					}
				}
			})
		}
		calling.Wait()
		stop()
		for id := range answers {
			if got := answers[id].Load(); got != 1 {
				t.Errorf("call %d was answered %d times", id, got)
			}
		}
	})
}

// A batch that follows is compared with all calls of the one before, including those that were
// added while that one waited.
func TestPartition_CountsCallsThatWereAddedToABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newPipeStore(t)
		refuse := true
		store.next = func() error {
			if refuse {
				return raffle.ErrNotNext
			}
			return nil
		}
		w, stop := pipelined(t, store, testConfig)
		submitAll(t.Context(), w, "a", "b", "c")
		synctest.Wait()
		refuse = false
		submitAll(t.Context(), w, "d", "e", "f", "g", "h", "i", "j")
		time.Sleep(15 * time.Millisecond)
		submitAll(t.Context(), w, "k", "l", "m", "n", "o")
		time.Sleep(time.Millisecond)
		submitAll(t.Context(), w, "p")
		stop()
		store.wantSent("0s batch 0 1 2 3 4", "10ms batch a b c d e f g h i j", "16ms next k l m n o p")
	})
}

// The goroutines of a partition keep nothing of calls that were answered, or given back.
func TestPartition_ClearsCallsThatWereWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig
		cfg.Batch = 4
		for _, next := range []error{nil, raffle.ErrNotNext, errors.New("defect")} {
			store := newPipeStore(t)
			store.next = func() error { return next }
			w := New(store, cfg)
			p := w.partitions[0]
			given, giveUp := context.WithCancel(t.Context())
			submit := w.Submitter(func(int64, *raffle.EnterResult) {})
			for i := range 4 {
				ctx := t.Context()
				if i == 2 {
					ctx = given
				}
				submit(ctx, 0, entry("stream"))
			}
			giveUp()
			none := newFlight(0)
			calls := p.queue.gather(make([]call, 0, cfg.Batch), cfg.Batch, none)
			for range 2 {
				w.Submit(t.Context(), entry("single"))
			}
			before := newFlight(1)
			time.AfterFunc(time.Millisecond, func() { close(before.written) })
			w.flush(t.Context(), p, calls, nil, before, newFlight(len(calls)))
			for i, c := range calls[:cfg.Batch] {
				if c.ctx != nil || c.answer != nil || c.share != nil {
					t.Errorf("after %v: call %d is kept", next, i)
				}
			}
		}
	})
}
