package outbox

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

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
