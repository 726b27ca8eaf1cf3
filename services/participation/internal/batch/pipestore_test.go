package batch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// pipeStore is a Store with one connection, whose transactions take 10 ms, one after the
// other. It records what is sent to it, and when.
type pipeStore struct {
	t     *testing.T
	next  func() error             // if set, EnterNext begins by it
	took  map[string]time.Duration // of transactions with this member in them
	began time.Time

	mu       sync.Mutex
	sent     []string
	last     <-chan struct{} // closed when the transaction that was sent last has ended
	underWay int
	entering int // of them, those in EnterBatch
}

func newPipeStore(t *testing.T) *pipeStore {
	t.Helper()
	free := make(chan struct{})
	close(free)
	return &pipeStore{t: t, began: time.Now(), last: free, took: map[string]time.Duration{}}
}

func (s *pipeStore) EnterBatch(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	s.mu.Lock()
	s.entering++
	if s.entering > 1 {
		s.t.Error("two batches in EnterBatch")
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.entering--
	}()
	return s.enter(ctx, "batch", reqs)
}

func (s *pipeStore) EnterNext(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	if s.next != nil {
		if err := s.next(); err != nil {
			return nil, err
		}
	}
	return s.enter(ctx, "next", reqs)
}

func (s *pipeStore) EnterLocked(_ context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return make([]raffle.EnterResult, len(reqs)), nil
}

func (s *pipeStore) enter(ctx context.Context, how string, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	members, took := "", 10*time.Millisecond
	results := make([]raffle.EnterResult, len(reqs))
	for i, req := range reqs {
		members += " " + req.MemberID
		took = max(took, s.took[req.MemberID])
		results[i].Entry.MemberID = req.MemberID
		if req.RaffleID >= 100 {
			results[i].Err = raffle.ErrLocked
		}
	}
	ended := make(chan struct{})
	defer close(ended)
	s.mu.Lock()
	s.sent = append(s.sent, fmt.Sprint(time.Since(s.began), " ", how, members))
	s.underWay++
	if s.underWay > 2 {
		s.t.Error("more than two batches are under way")
	}
	before := s.last
	s.last = ended
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.underWay--
	}()
	select {
	case <-before:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-time.After(took):
		return results, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *pipeStore) wantSent(want ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.sent, want) {
		s.t.Errorf("sent\n%s\nwant\n%s", strings.Join(s.sent, "\n"), strings.Join(want, "\n"))
	}
}

func cantFollow() error { return raffle.ErrNotNext }

// pipelined starts a writer by which the members 0 to 4 are being entered in one batch.
func pipelined(t *testing.T, store *pipeStore, cfg Config) (w *Writer, stop func()) {
	t.Helper()
	if cfg.Batch < 5 {
		cfg.Batch = 10
	}
	w = New(store, cfg)
	submitAll(t.Context(), w, "0", "1", "2", "3", "4")
	stop = run(t, w)
	synctest.Wait()
	return w, stop
}

func submitAll(ctx context.Context, w *Writer, members ...string) (futures []*Future) {
	for _, m := range members {
		futures = append(futures, w.Submit(ctx, entry(m)))
	}
	return futures
}

func wantNoErrors(t *testing.T, futures []*Future) {
	t.Helper()
	for i, f := range futures {
		if _, err := f.Result(); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
