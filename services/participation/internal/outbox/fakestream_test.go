package outbox

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// fakeStream is a Stream in memory. TestStream_FakeDoesAsJetStream holds it to what JetStream does.
type fakeStream struct {
	mu       sync.Mutex
	created  time.Time
	seq      uint64
	messages []fakeMessage
	newest   map[int64]uint64 // sequence of the last message, by raffle

	keep     int           // messages of each raffle at most; 0: all
	latency  time.Duration // of an acknowledgement
	err      error         // of every method, if set
	loseAcks int           // so many messages are stored, and Append fails nevertheless
	owner    string        // the database that the stream belongs to; empty: none
	database string        // ours
	filled   bool          // MarkReconciled was called
	inFlight map[int64]int // calls of Append, by raffle
	stats    fakeStats
}

// fakeStats counts the calls of a fakeStream.
type fakeStats struct {
	looks   int // calls of Last
	appends int // calls of Append
	reads   int // calls of Versions
	counts  int // calls of Counts
	overlap int // most calls of Append for one raffle at the same time
	abreast int // most raffles for which Append was called at the same time
}

type fakeMessage struct {
	seq     uint64
	raffle  raffle.Raffle
	removed bool
	damaged bool
	at      time.Time
}

func (s *fakeStream) UseDatabase(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.database = id
}

func (s *fakeStream) Ensure(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuses(); err != nil {
		return err
	}
	s.ensure()
	s.owner = s.database
	return nil
}

// refuses returns the error of every method.
func (s *fakeStream) refuses() error {
	if s.err == nil && s.owner != "" && s.owner != s.database {
		return &ForeignStreamError{Stream: "fake", Owner: s.owner, Database: s.database}
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
	if err := s.refuses(); err != nil {
		return Message{}, err
	}
	return s.last(raffleID), nil
}

func (s *fakeStream) last(raffleID int64) Message {
	seq := s.newest[raffleID]
	if seq == 0 {
		return Message{}
	}
	m := s.message(s.messages[seq-1])
	m.Age = time.Since(s.messages[seq-1].at)
	return m
}

func (s *fakeStream) message(m fakeMessage) Message {
	if m.damaged {
		return Message{Seq: m.seq, Damaged: true}
	}
	odds := rafflepb.Odds(m.raffle)
	odds.Removed = m.removed
	return Message{Seq: m.seq, Epoch: m.raffle.Epoch, Version: m.raffle.Version, Content: content(odds), Removed: m.removed}
}

func (s *fakeStream) Append(ctx context.Context, r raffle.Raffle, after uint64) (uint64, error) {
	s.enter(r.ID)
	defer s.leave(r.ID)
	if err := s.pause(ctx); err != nil { // on the way there
		return 0, err
	}
	seq, err := s.store(fakeMessage{raffle: r}, after)
	return seq, errors.Join(err, s.pause(ctx)) // and on the way back
}

func (s *fakeStream) Remove(_ context.Context, raffleID int64, last Message) (uint64, error) {
	r := raffle.Raffle{ID: raffleID, Epoch: last.Epoch, Version: last.Version + 1, State: raffle.Cancelled, Winners: 1}
	return s.store(fakeMessage{raffle: r, removed: true}, last.Seq)
}

func (s *fakeStream) store(m fakeMessage, after uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuses(); err != nil {
		return 0, err
	}
	switch {
	case s.created.IsZero():
		s.ensure()
		s.owner = s.database
		return 0, ErrConflict
	case s.last(m.raffle.ID).Seq != after:
		return 0, ErrConflict
	}
	s.seq++
	m.seq, m.at = s.seq, time.Now()
	s.messages = append(s.messages, m)
	s.newest[m.raffle.ID] = s.seq
	s.removeOldest(m.raffle.ID)
	if s.loseAcks > 0 {
		s.loseAcks--
		return 0, errors.New("no acknowledgement came")
	}
	return s.seq, nil
}

// removeOldest removes a raffle's oldest message if it has more than the stream keeps.
func (s *fakeStream) removeOldest(raffleID int64) {
	if s.keep == 0 {
		return
	}
	oldest, n := -1, 0
	for i, m := range s.messages {
		if m.raffle.ID == raffleID && m.seq > 0 {
			if n++; n == 1 {
				oldest = i
			}
		}
	}
	if n > s.keep {
		s.messages[oldest].seq = 0
	}
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
	if err := s.refuses(); err != nil || s.created.IsZero() {
		return State{}, err
	}
	state := State{Created: s.created, Last: s.seq, Subjects: uint64(len(s.newest)), Owned: s.owner != "", Reconciled: s.filled}
	for _, m := range s.messages {
		if m.seq > 0 {
			state.Messages++
		}
	}
	return state, nil
}

func (s *fakeStream) Counts(ctx context.Context) (State, map[int64]uint64, error) {
	state, err := s.State(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.counts++
	counts := map[int64]uint64{}
	for _, m := range s.messages {
		if m.seq > 0 {
			counts[m.raffle.ID]++
		}
	}
	return state, counts, err
}

func (s *fakeStream) Newest(context.Context) (map[int64]Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.reads++
	newest := map[int64]Message{}
	for id, seq := range s.newest {
		newest[id] = s.message(s.messages[seq-1])
	}
	return newest, s.refuses()
}

func (s *fakeStream) MarkReconciled(_ context.Context, created time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.created.Equal(created) {
		return errors.New("another stream")
	}
	s.filled = true
	return s.refuses()
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
	s.created, s.seq, s.messages, s.newest, s.owner, s.filled = time.Time{}, 0, nil, nil, "", false
}

// purge deletes the messages of a raffle; 0: of all.
func (s *fakeStream) purge(raffleID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.messages {
		if raffleID == 0 || m.raffle.ID == raffleID {
			s.messages[i].seq = 0
			delete(s.newest, m.raffle.ID)
		}
	}
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
	s.putMessage(t, fakeMessage{raffle: r})
}

func (s *fakeStream) putMessage(t *testing.T, m fakeMessage) {
	t.Helper()
	s.mu.Lock()
	s.ensure()
	after := s.last(m.raffle.ID).Seq
	s.mu.Unlock()
	if _, err := s.store(m, after); err != nil {
		t.Fatal(err)
	}
}

// stored returns the messages of a raffle, in order.
func (s *fakeStream) stored(id int64) []fakeMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.messages), func(m fakeMessage) bool { return m.raffle.ID != id || m.seq == 0 })
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
