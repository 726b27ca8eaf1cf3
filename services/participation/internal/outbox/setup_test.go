package outbox

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// version returns one version of a raffle that is open.
func version(id, v int64) raffle.Raffle {
	return raffle.Raffle{ID: id, Epoch: "e", Version: v, Winners: 1, EntryCount: v, State: raffle.Open, UpdatedAt: time.Now()}
}

// final returns the last version of a raffle.
func final(id, v int64) raffle.Raffle {
	r := version(id, v)
	r.State = raffle.Closed
	return r
}

// fakeSource is a Source in memory.
type fakeSource struct {
	mu        sync.Mutex
	raffles   map[int64]raffle.Raffle
	published map[int64]int64
	queue     *Queue
	err       error
	onList    func() // called by List
	lists     int
	identity  raffle.DatabaseIdentity
	resets    int
}

func (s *fakeSource) Identity(context.Context) (raffle.DatabaseIdentity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity.Ticks++
	return s.identity, s.err
}

func (s *fakeSource) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resets++
}

func (s *fakeSource) Get(_ context.Context, id int64) (raffle.Raffle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.raffles[id]
	if s.err == nil && !ok {
		return r, &raffle.NotFoundError{RaffleID: id}
	}
	return r, s.err
}

func (s *fakeSource) List(_ context.Context, after int64, limit int, _ raffle.State) (list []raffle.Raffle, err error) {
	if s.onList != nil {
		s.onList()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	for _, r := range s.raffles {
		if r.ID > after {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b raffle.Raffle) int { return cmp.Compare(a.ID, b.ID) })
	return list[:min(limit, len(list))], s.err
}

func (s *fakeSource) Unpublished(_ context.Context, age time.Duration) (list []raffle.Raffle, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.raffles {
		if s.published[id] < r.Version && time.Since(r.UpdatedAt) >= age {
			list = append(list, r)
		}
	}
	return list, s.err
}

func (s *fakeSource) Checkpoint(_ context.Context, published map[int64]raffle.Published) (drifted []int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	for id, p := range published {
		if r, ok := s.raffles[id]; !ok || !sameLife(r.Epoch, p.Epoch) || r.Version < p.Version {
			drifted = append(drifted, id)
			continue
		}
		s.published[id] = max(s.published[id], p.Version)
	}
	return drifted, nil
}

func (*fakeSource) RestartLog(context.Context, int64, raffle.SeenLog) (bool, error) {
	return false, nil
}

func (*fakeSource) SkipIDs(context.Context, int64) error { return nil }

func (s *fakeSource) BumpVersion(ctx context.Context, raffleID, above int64, needed func(raffle.Raffle) bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.raffles[raffleID]
	switch {
	case s.err != nil:
		return false, s.err
	case !ok:
		return false, &raffle.NotFoundError{RaffleID: raffleID}
	case !needed(r):
		return false, nil
	}
	r.Version = above + 1
	s.raffles[raffleID] = r
	s.queue.Enqueue(ctx, r)
	return true, nil
}

// commit stores a version, and enqueues it unless the process crashes first.
func (s *fakeSource) commit(ctx context.Context, r raffle.Raffle, crash bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raffles[r.ID] = r
	if !crash {
		s.queue.Enqueue(ctx, r)
	}
}

func (s *fakeSource) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeSource) marked(id int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published[id]
}

func (s *fakeSource) raffle(id int64) raffle.Raffle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raffles[id]
}

// testBundle is an outbox between fakes.
type testBundle struct {
	queue  *Queue
	stream *fakeStream
	source *fakeSource
	cfg    Config
	failed atomic.Int64 // calls of OnFailed
	bumped atomic.Int64 // calls of OnBumped

	removed, damaged atomic.Int64 // calls of OnRemoved and OnDamaged
}

// testInterval is the conflation interval of setup.
const testInterval = 50 * time.Millisecond

func setup(t *testing.T, interval time.Duration) *testBundle {
	t.Helper()
	b := &testBundle{queue: NewQueue(interval), stream: &fakeStream{database: "ours"}}
	b.source = &fakeSource{raffles: map[int64]raffle.Raffle{}, published: map[int64]int64{}, queue: b.queue}
	b.source.identity = raffle.DatabaseIdentity{ID: "ours", System: "1", Timeline: "00000001"}
	b.cfg = Config{
		OnFailed: func() { b.failed.Add(1) }, OnBumped: func() { b.bumped.Add(1) },
		OnRemoved: func() { b.removed.Add(1) }, OnDamaged: func() { b.damaged.Add(1) },
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	b.cfg.fillDefaults()
	return b
}

// startRelay runs only a relay until the test ends, or stop is called.
func (b *testBundle) startRelay(t *testing.T) (stop func()) {
	t.Helper()
	return start(t, b.relay(b.stream).run)
}

// relay returns a relay to a stream.
func (b *testBundle) relay(stream Stream) *relay {
	return newRelay(b.queue, stream, newMender(b.queue, stream, b.source, b.cfg), b.cfg)
}

// startOutbox runs an outbox until the test ends, or stop is called.
func (b *testBundle) startOutbox(t *testing.T, reconnected <-chan struct{}) (stop func()) {
	t.Helper()
	o := New(b.queue, b.stream, b.source, b.cfg)
	return start(t, func(ctx context.Context) { o.Run(ctx, reconnected) })
}

// start runs a function until the test ends, or stop is called, which waits for it.
func start(t *testing.T, run func(context.Context)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}
