package batch

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// instantStore is a Store whose transactions take no time.
type instantStore struct{}

func (s instantStore) EnterLocked(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return s.EnterBatch(ctx, reqs)
}

func (s instantStore) EnterNext(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return s.EnterBatch(ctx, reqs)
}

func (instantStore) EnterBatch(_ context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return make([]raffle.EnterResult, len(reqs)), nil
}

// BenchmarkWriter is the price of this package for one entry.
func BenchmarkWriter(b *testing.B) {
	for name, enter := range map[string]func(*Writer, *testing.PB, context.Context){
		"stream": func(w *Writer, p *testing.PB, ctx context.Context) {
			slots := make(chan struct{}, 4096)
			submit := w.Submitter(func(int64, *raffle.EnterResult) { <-slots })
			for p.Next() {
				slots <- struct{}{}
				submit(ctx, 1, raffle.EnterRequest{RaffleID: 1, MemberID: "m"})
			}
			for range cap(slots) {
				slots <- struct{}{}
			}
		},
		"unary": func(w *Writer, p *testing.PB, ctx context.Context) {
			for p.Next() {
				if _, err := w.Enter(ctx, raffle.EnterRequest{RaffleID: 1, MemberID: "m"}); err != nil {
					return
				}
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := New(instantStore{}, Config{Partitions: 4, Queue: 8192, Batch: 2048, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
			ctx, stop := context.WithCancel(b.Context())
			var running sync.WaitGroup
			running.Go(func() { w.Run(ctx) })
			b.RunParallel(func(p *testing.PB) { enter(w, p, ctx) })
			stop()
			running.Wait()
		})
	}
}
