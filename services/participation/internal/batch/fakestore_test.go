package batch

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// fakeStore is a Store that records its batches. Its transactions take 10 ms.
type fakeStore struct {
	mu      sync.Mutex
	batches [][]string // the members of each batch
	active  map[int64]bool
	atOnce  int // most transactions that overlapped
	err     error
}

func (s *fakeStore) EnterBatch(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	var members []string
	results := make([]raffle.EnterResult, len(reqs))
	for i, req := range reqs {
		members = append(members, req.MemberID)
		results[i].Entry = raffle.Entry{RaffleID: req.RaffleID, MemberID: req.MemberID}
		switch req.MemberID {
		case "refused":
			results[i].Err = &raffle.EntryLimitError{RaffleID: req.RaffleID, Max: 1}
		case "replayed":
			results[i].Replayed = true
		}
	}
	s.begin(reqs, members)
	defer s.end(reqs)
	select {
	case <-time.After(10 * time.Millisecond):
		if s.err != nil {
			return nil, s.err
		}
		return results, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *fakeStore) EnterLocked(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return s.EnterBatch(ctx, reqs)
}

func (*fakeStore) EnterNext(context.Context, []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return nil, raffle.ErrNotNext
}

func (s *fakeStore) begin(reqs []raffle.EnterRequest, members []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, members)
	if s.active == nil {
		s.active = map[int64]bool{}
	}
	for _, req := range reqs {
		s.active[req.RaffleID] = true
	}
	s.atOnce = max(s.atOnce, len(s.active))
}

func (s *fakeStore) end(reqs []raffle.EnterRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, req := range reqs {
		delete(s.active, req.RaffleID)
	}
}

func (s *fakeStore) wantBatches(t *testing.T, want ...[]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.EqualFunc(s.batches, want, slices.Equal) {
		t.Errorf("batches %v, want %v", s.batches, want)
	}
}

// start runs a writer until the test ends. stop ends it earlier, and waits for it.
func start(t *testing.T, store Store, cfg Config) (w *Writer, stop func()) {
	t.Helper()
	w = New(store, cfg)
	return w, run(t, w)
}

// run runs a writer in which calls may be queued already, like start.
func run(t *testing.T, w *Writer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// entry returns a request to enter raffle 1.
func entry(member string) raffle.EnterRequest {
	return raffle.EnterRequest{RaffleID: 1, MemberID: member}
}
