package outbox

import (
	"cmp"
	"context"
	"errors"
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
	return raffle.Raffle{ID: id, Version: v, Winners: 1, EntryCount: v, State: raffle.Open, UpdatedAt: time.Now()}
}

// final returns the last version of a raffle.
func final(id, v int64) raffle.Raffle {
	r := version(id, v)
	r.State = raffle.Closed
	return r
}

// fakeStream is a Stream in memory. TestStream holds it to what JetStream does.
type fakeStream struct {
	mu       sync.Mutex
	created  time.Time
	seq      uint64
	messages []fakeMessage
	newest   map[int64]uint64 // sequence of the last message, by raffle

	latency  time.Duration // of an acknowledgement
	err      error         // of every method, if set
	loseAcks int           // so many messages are stored, and Append fails nevertheless
	inFlight map[int64]int // calls of Append, by raffle
	stats    fakeStats
}

// fakeStats counts the calls of a fakeStream.
type fakeStats struct {
	looks   int // calls of Last
	appends int // calls of Append
	reads   int // calls of Versions
	overlap int // most calls of Append for one raffle at the same time
	abreast int // most raffles for which Append was called at the same time
}

type fakeMessage struct {
	seq    uint64
	raffle raffle.Raffle
	at     time.Time
}

func (s *fakeStream) Ensure(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.ensure()
	}
	return s.err
}

func (s *fakeStream) ensure() {
	if s.created.IsZero() {
		s.created, s.newest = time.Now(), map[int64]uint64{}
	}
}

func (s *fakeStream) Last(_ context.Context, raffleID int64) (Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.looks++
	if s.err != nil {
		return Message{}, s.err
	}
	return s.last(raffleID), nil
}

func (s *fakeStream) last(raffleID int64) Message {
	seq := s.newest[raffleID]
	if seq == 0 {
		return Message{}
	}
	m := s.messages[seq-1]
	return Message{Seq: m.seq, Version: m.raffle.Version, Age: time.Since(m.at)}
}

func (s *fakeStream) Append(ctx context.Context, r raffle.Raffle, after uint64) (uint64, error) {
	s.enter(r.ID)
	defer s.leave(r.ID)
	if err := s.pause(ctx); err != nil { // on the way there
		return 0, err
	}
	seq, err := s.store(r, after)
	return seq, errors.Join(err, s.pause(ctx)) // and on the way back
}

func (s *fakeStream) store(r raffle.Raffle, after uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, s.err
	case s.created.IsZero():
		s.ensure()
		return 0, ErrConflict
	case s.last(r.ID).Seq != after:
		return 0, ErrConflict
	}
	s.seq++
	s.messages = append(s.messages, fakeMessage{s.seq, r, time.Now()})
	s.newest[r.ID] = s.seq
	if s.loseAcks > 0 {
		s.loseAcks--
		return 0, errors.New("no acknowledgement came")
	}
	return s.seq, nil
}

func (s *fakeStream) pause(ctx context.Context) error {
	if s.latency == 0 {
		return nil
	}
	select {
	case <-time.After(s.latency / 2):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *fakeStream) enter(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight == nil {
		s.inFlight = map[int64]int{}
	}
	s.inFlight[id]++
	s.stats.appends++
	s.stats.overlap = max(s.stats.overlap, s.inFlight[id])
	s.stats.abreast = max(s.stats.abreast, len(s.inFlight))
}

func (s *fakeStream) leave(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight[id]--; s.inFlight[id] == 0 {
		delete(s.inFlight, id)
	}
}

func (s *fakeStream) State(context.Context) (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.created.IsZero() {
		return State{}, s.err
	}
	return State{Created: s.created, Last: s.seq}, nil
}

func (s *fakeStream) Versions(context.Context) (map[int64]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.reads++
	versions := map[int64]int64{}
	for _, m := range s.messages {
		versions[m.raffle.ID] = m.raffle.Version
	}
	return versions, s.err
}

// fail makes every method fail with err, or succeed again if err is nil.
func (s *fakeStream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// remove deletes the stream.
func (s *fakeStream) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created, s.seq, s.messages, s.newest = time.Time{}, 0, nil, nil
}

// truncate takes the last n messages away, as a power cut does.
func (s *fakeStream) truncate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = s.messages[:len(s.messages)-n]
	s.seq -= uint64(n)
	clear(s.newest)
	for _, m := range s.messages {
		s.newest[m.raffle.ID] = m.seq
	}
}

// put stores a version as another process would.
func (s *fakeStream) put(t *testing.T, r raffle.Raffle) {
	t.Helper()
	s.mu.Lock()
	s.ensure()
	after := s.last(r.ID).Seq
	s.mu.Unlock()
	if _, err := s.store(r, after); err != nil {
		t.Fatal(err)
	}
}

// stored returns the messages of a raffle, in order.
func (s *fakeStream) stored(id int64) []fakeMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.messages), func(m fakeMessage) bool { return m.raffle.ID != id })
}

func (s *fakeStream) versions(id int64) (versions []int64) {
	for _, m := range s.stored(id) {
		versions = append(versions, m.raffle.Version)
	}
	return versions
}

func (s *fakeStream) counted() fakeStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// wantVersions checks which versions of a raffle were stored.
func (s *fakeStream) wantVersions(t *testing.T, id int64, want ...int64) {
	t.Helper()
	if got := s.versions(id); !slices.Equal(got, want) {
		t.Errorf("raffle %d: the stream has versions %v, want %v", id, got, want)
	}
}

// wantApart checks that versions only rise, and that two messages of a raffle are at
// least an interval apart.
func (s *fakeStream) wantApart(t *testing.T, id int64, interval time.Duration) {
	t.Helper()
	messages := s.stored(id)
	for i := 1; i < len(messages); i++ {
		before, m := messages[i-1], messages[i]
		if m.raffle.Version <= before.raffle.Version || m.at.Sub(before.at) < interval {
			t.Errorf("version %d came %v after version %d", m.raffle.Version, m.at.Sub(before.at), before.raffle.Version)
		}
	}
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

func (s *fakeSource) Checkpoint(_ context.Context, published map[int64]int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for id, v := range published {
		s.published[id] = max(s.published[id], v)
	}
	return nil
}

func (s *fakeSource) BumpVersion(ctx context.Context, raffleID, above int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.raffles[raffleID]; s.err == nil && r.Version <= above {
		r.Version, r.UpdatedAt = above+1, time.Now()
		s.raffles[raffleID] = r
		s.queue.Enqueue(ctx, r)
	}
	return s.err
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
}

// testInterval is the conflation interval of setup.
const testInterval = 50 * time.Millisecond

func setup(t *testing.T, interval time.Duration) *testBundle {
	t.Helper()
	b := &testBundle{queue: NewQueue(interval), stream: &fakeStream{}}
	b.source = &fakeSource{raffles: map[int64]raffle.Raffle{}, published: map[int64]int64{}, queue: b.queue}
	b.cfg = Config{
		OnFailed: func() { b.failed.Add(1) }, OnBumped: func() { b.bumped.Add(1) },
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	b.cfg.fillDefaults()
	return b
}

// startRelay runs only a relay until the test ends, or stop is called.
func (b *testBundle) startRelay(t *testing.T) (stop func()) {
	t.Helper()
	return start(t, newRelay(b.queue, b.stream, b.cfg).run)
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
