package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// flood submits more than its share by each of n streams, and goes on whenever a result
// comes, until the context ends.
func flood(ctx context.Context, w *Writer, n int) *sync.WaitGroup {
	var streams sync.WaitGroup
	for range n {
		streams.Go(func() {
			slots := make(chan struct{}, 2*w.cfg.Queue)
			var busy atomic.Bool
			submit := w.Submitter(func(_ int64, res *raffle.EnterResult) {
				busy.Store(errors.Is(res.Err, raffle.ErrBusy))
				<-slots
			})
			for ctx.Err() == nil {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				submit(ctx, 1, entry("flood"))
				if busy.Load() {
					time.Sleep(time.Millisecond) // the clock of a synctest bubble
				}
			}
		})
	}
	return &streams
}

// Streams that submit more than can be written take neither the room nor the time of a
// single call, nor all the room of another stream.
func TestWriter_FloodingStreamsLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	for _, streams := range []int{1, 2, 20} {
		t.Run(fmt.Sprint(streams, " streams"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := testConfig
				cfg.Queue, cfg.Batch = 1000, 10 // a second's worth of batches waits
				w, _ := start(t, &fakeStore{}, cfg)
				ctx, stop := context.WithCancel(t.Context())
				flooding := flood(ctx, w, streams)
				time.Sleep(2 * time.Second)
				if waiting := w.Waiting(); waiting < 700 {
					t.Errorf("only %d wait", waiting)
				}
				for i := range 50 {
					began := time.Now()
					if _, err := w.Enter(t.Context(), entry(fmt.Sprint(i))); err != nil || time.Since(began) > 20*time.Millisecond {
						t.Errorf("a single call after %v: %v", time.Since(began), err)
					}
				}
				var results sync.WaitGroup
				for range 3 { // which another stream has under way
					time.Sleep(5 * time.Millisecond) // not right after a batch was taken
					results.Add(1)
					w.Submitter(func(_ int64, res *raffle.EnterResult) {
						defer results.Done()
						if res.Err != nil {
							t.Errorf("another stream: %v", res.Err)
						}
					})(t.Context(), 1, entry("other"))
				}
				results.Wait()
				stop()
				flooding.Wait()
			})
		})
	}
}

// Single calls that come all the time leave half of each batch to streams.
func TestWriter_SingleCallsLeaveRoomForStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, cfg := &fakeStore{}, testConfig
		cfg.Batch = 4
		w, stop := start(t, store, cfg)
		w.Submit(t.Context(), entry("first"))
		synctest.Wait()
		submit := w.Submitter(func(int64, *raffle.EnterResult) {})
		for range 6 {
			w.Submit(t.Context(), entry("single"))
			submit(t.Context(), 1, entry("stream"))
		}
		stop()
		for i, members := range store.batches[1:3] {
			slices.Sort(members)
			if !slices.Equal(members, []string{"single", "single", "stream", "stream"}) {
				t.Errorf("batch %d: %v", i+1, members)
			}
		}
		if len(store.batches) != 4 {
			t.Errorf("batches %v", store.batches)
		}
	})
}

// A stream's share is given back when its entries are written, whatever became of them.
func TestWriter_StreamsGiveTheirShareBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig
		cfg.Queue = 10
		w, _ := start(t, &fakeStore{}, cfg)
		var given, refused atomic.Int64
		submit := w.Submitter(func(_ int64, res *raffle.EnterResult) {
			given.Add(1)
			if errors.Is(res.Err, raffle.ErrBusy) {
				refused.Add(1)
			}
		})
		for range 100 {
			for range 12 { // of which eight or more find room
				submit(t.Context(), 1, entry("refused"))
			}
			time.Sleep(time.Second)
		}
		if given.Load() != 1200 || refused.Load() > 400 {
			t.Errorf("%d results, %d of them busy", given.Load(), refused.Load())
		}
	})
}
