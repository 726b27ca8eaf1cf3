package outbox

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// maxIdle is how many raffles are remembered that have nothing to publish, so that
// their next message needs no look at the stream: about 15 MB.
const maxIdle = 1 << 16

// Queue keeps the newest version of each raffle that is not in the stream yet.
// Make it with NewQueue.
type Queue struct {
	interval time.Duration // the conflation interval; 0: messages are not conflated

	mu    sync.Mutex
	slots map[int64]*slot // by raffle id
	ready []*slot         // those whose message may be sent now, in order
	wake  chan struct{}   // capacity 1: ready may have something in it

	throttled []throttle    // by time
	throttle  chan struct{} // capacity 1: the first was added to throttled

	idle    *list.List // slots without anything to do; the longest idle first
	maxIdle int

	pending  int           // raffles with a version that is not in the stream
	draining bool          // the conflation interval no longer applies
	drained  chan struct{} // closed once pending is 0; nil until Drain waits for it

	acked     map[int64]raffle.Published // newest in the stream, by raffle id, since takeAcked
	lastAcked uint64                     // highest sequence that the stream has acknowledged
	inStream  uint64                     // slots whose raffle is known to have a message in the stream
	appended  []appended                 // since the stream's messages were counted
}

// slot is what is known of one raffle. At any time it is in one of these states:
// idle (nothing to do), ready (its message may be sent), in flight (its message is
// being sent), or throttled (its message waits for the conflation interval).
type slot struct {
	id       int64
	waiting  *message // the newest version that is not in flight
	ready    bool     // it is in Queue.ready
	inFlight bool
	// throttledUntil is when the next message may be sent; zero means now.
	throttledUntil time.Time
	idle           *list.Element // its place in Queue.idle, or nil

	published raffle.Published // the newest known to be in the stream
	seq       uint64           // sequence of that, the raffle's last message; 0: not known
}

// busy reports whether the slot has a version that is not in the stream.
func (s *slot) busy() bool { return s.waiting != nil || s.inFlight }

// message is a version of a raffle on its way to the stream.
type message struct {
	raffle raffle.Raffle
	origin trace.SpanContext // of the change that made the version
}

// NewQueue returns an empty queue with this conflation interval.
func NewQueue(interval time.Duration) *Queue {
	return &Queue{
		interval: interval,
		slots:    make(map[int64]*slot),
		wake:     make(chan struct{}, 1),
		throttle: make(chan struct{}, 1),
		idle:     list.New(),
		maxIdle:  maxIdle,
		acked:    make(map[int64]raffle.Published),
	}
}

// Enqueue takes committed versions for publishing. A version replaces an older one
// of the same raffle that still waits, and is dropped if a newer one waits or was
// published. Publishing belongs to the trace of ctx, and does not end with ctx.
func (q *Queue) Enqueue(ctx context.Context, committed ...raffle.Raffle) {
	origin := trace.SpanContextFromContext(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range committed {
		q.enqueue(&message{committed[i], origin})
	}
}

func (q *Queue) enqueue(m *message) {
	id, version := m.raffle.ID, m.raffle.Version
	s := q.slots[id]
	if s == nil {
		s = &slot{id: id}
		q.slots[id] = s
	}
	if !sameLife(s.published.Epoch, m.raffle.Epoch) {
		q.setPublished(s, raffle.Published{}, 0)
	}
	switch {
	case version < s.published.Version || s.inFlight && version == s.published.Version:
		q.acked[id] = s.published // the database has not been told yet, or has lost it
		return
	case version == s.published.Version:
		s.seq = 0 // it is compared with what is in the stream
	}
	if s.waiting != nil && sameLife(s.waiting.raffle.Epoch, m.raffle.Epoch) && version <= s.waiting.raffle.Version {
		return
	}
	if s.waiting != nil && !m.origin.IsSampled() {
		m.origin = s.waiting.origin // that trace shows what became of its entry
	}
	if !s.busy() {
		q.pending++
	}
	s.waiting = m
	q.schedule(s)
}

// republish is Enqueue for a version that the stream may have lost after it
// acknowledged it.
func (q *Queue) republish(r raffle.Raffle) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.slots[r.ID]; s != nil && !s.busy() {
		q.setPublished(s, raffle.Published{}, 0)
	}
	q.enqueue(&message{raffle: r})
}

// schedule puts a slot where it belongs after any change.
func (q *Queue) schedule(s *slot) {
	if s.idle != nil {
		q.idle.Remove(s.idle)
		s.idle = nil
	}
	throttled := !s.throttledUntil.IsZero()
	switch {
	case s.inFlight || s.ready:
	case s.waiting == nil && throttled: // it is released when the interval ends
	case s.waiting == nil:
		s.idle = q.idle.PushBack(s)
		if q.idle.Len() > q.maxIdle {
			q.forget(q.idle.Front().Value.(*slot))
		}
	case throttled && q.conflates(s.waiting):
	default:
		s.ready = true
		q.ready = append(q.ready, s)
		signal(q.wake)
	}
}

// forget removes an idle slot. That is safe: before the next message of its raffle
// is sent, the relay looks at the stream.
func (q *Queue) forget(s *slot) {
	q.setPublished(s, raffle.Published{}, 0)
	q.idle.Remove(s.idle)
	s.idle = nil
	delete(q.slots, s.id)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// next returns a slot whose message is to be sent, the message, and the sequence of
// the message before (0: not known). It returns nil if no slot is ready. The slot is
// in flight until done, retry or stepBack is called with it.
func (q *Queue) next() (*slot, *message, uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ready) == 0 {
		return nil, nil, 0
	}
	s := q.ready[0]
	if q.ready = q.ready[1:]; len(q.ready) > 0 {
		signal(q.wake)
	}
	m := s.waiting
	s.ready, s.inFlight, s.waiting = false, true, nil
	return s, m, s.seq
}

// done records that last is the raffle's last message, and at least as new as the
// message that was in flight.
func (q *Queue) done(s *slot, last Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.inFlight = false
	q.setPublished(s, raffle.Published{Epoch: last.Epoch, Version: last.Version}, last.Seq)
	q.lastAcked = max(q.lastAcked, last.Seq)
	q.acked[s.id] = s.published
	if s.waiting != nil && sameLife(s.waiting.raffle.Epoch, last.Epoch) && s.waiting.raffle.Version <= last.Version {
		s.waiting = nil // another process has published it
	}
	q.hold(s)
	if s.waiting == nil {
		q.settled()
	}
	q.schedule(s)
}

// retry puts a message back that could not be sent.
func (q *Queue) retry(s *slot, m *message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.throttledUntil = time.Time{}
	q.putBack(s, m)
}

// stepBack puts a message back because another process has published a message of
// the same raffle within the conflation interval.
func (q *Queue) stepBack(s *slot, m *message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hold(s)
	q.putBack(s, m)
}

func (q *Queue) putBack(s *slot, m *message) {
	s.inFlight = false
	s.seq = 0 // it has changed, or the message may have been stored
	// A version may be enqueued after one that was committed later.
	if w := s.waiting; w == nil || sameLife(w.raffle.Epoch, m.raffle.Epoch) && w.raffle.Version < m.raffle.Version {
		s.waiting = m
	}
	q.schedule(s)
}

// settled counts a raffle whose newest version is in the stream.
func (q *Queue) settled() {
	if q.pending--; q.pending == 0 && q.drained != nil {
		close(q.drained)
		q.drained = nil
	}
}

// Pending returns how many raffles have a version that is not in the stream yet.
func (q *Queue) Pending() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pending
}

// Drain ends the conflation, and waits until everything that was enqueued is in the
// stream. It fails with the cause of ctx if that ends first.
func (q *Queue) Drain(ctx context.Context) error {
	q.mu.Lock()
	q.draining = true
	for _, t := range q.throttled {
		if t.valid() {
			q.schedule(t.slot)
		}
	}
	if q.pending == 0 {
		q.mu.Unlock()
		return nil
	}
	if q.drained == nil {
		q.drained = make(chan struct{})
	}
	drained := q.drained
	q.mu.Unlock()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the newest odds of %d raffles are not published: %w", q.Pending(), context.Cause(ctx))
	}
}

// takeAcked returns the newest version of each raffle, by id, that was found to be
// in the stream since the last call.
func (q *Queue) takeAcked() map[int64]raffle.Published {
	q.mu.Lock()
	defer q.mu.Unlock()
	acked := q.acked
	q.acked = make(map[int64]raffle.Published)
	return acked
}

// forgetPublished forgets what is believed to be in the stream, after the database or
// the stream was replaced by another state of it. Before the next message of a raffle
// is sent, the relay looks at the stream.
func (q *Queue) forgetPublished() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.slots {
		q.setPublished(s, raffle.Published{}, 0)
	}
}

// removePublished removes those versions, by raffle id, that are not waiting to be
// published any more.
func (q *Queue) removePublished(versions map[int64]raffle.Published) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, v := range versions {
		if s := q.slots[id]; s == nil || !s.busy() || sameLife(s.published.Epoch, v.Epoch) && s.published.Version >= v.Version {
			delete(versions, id)
		}
	}
}

// setPublished records what is the newest in the stream; the zero value if that is not
// known.
func (q *Queue) setPublished(s *slot, p raffle.Published, seq uint64) {
	if s.published.Version > 0 {
		q.inStream--
	}
	if p.Version > 0 {
		q.inStream++
	}
	s.published, s.seq = p, seq
}

// knownInStream returns how many raffles are known to have a message in the stream.
func (q *Queue) knownInStream() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inStream
}

// lastSeq returns the highest sequence that was acknowledged since resetLastSeq.
func (q *Queue) lastSeq() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lastAcked
}

func (q *Queue) resetLastSeq() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lastAcked = 0
}
