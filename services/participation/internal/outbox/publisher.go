package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// workers is how many messages may be under way at once. An acknowledgement
// takes 0.1 to 0.3 ms, so these carry over 200,000 messages a second; the
// server takes fewer.
const workers = 64

// Stream keeps a raffle's newest odds in order.
type Stream interface {
	// Ensure makes the stream where there is none. Idempotent.
	Ensure(ctx context.Context) error
	// Last returns the sequence and version of a raffle's last message; both are
	// 0 where it has none.
	Last(ctx context.Context, raffleID int64) (seq uint64, version int64, err error)
	// Append stores odds after the raffle's message with sequence tail (0: as its
	// first) and returns its sequence. It fails with ErrConflict where the last
	// message is another one.
	Append(ctx context.Context, o raffle.Odds, tail uint64) (uint64, error)
	// State returns the stream's creation time and last sequence.
	State(ctx context.Context) (State, error)
	// Versions returns the version of each raffle's last message, by id.
	Versions(ctx context.Context) (map[int64]int64, error)
}

// State tells one stream from another, and how far it goes.
type State struct {
	Created time.Time
	Last    uint64 // sequence of the last message
}

// ErrConflict says that the stream has moved on.
var ErrConflict = errors.New("the subject's last message is another one")

// Config is who hears of what a Publisher does. The functions are called from
// several goroutines at once; where one is not set, nobody hears.
type Config struct {
	// Stored is told of odds that the stream has acknowledged.
	Stored func(raffle.Odds)
	// Failed is told of an attempt to store odds that failed; another follows.
	Failed func()
	// Raised is told of a raffle whose version was raised above the stream's.
	Raised func()
	Tracer trace.Tracer
	Log    *slog.Logger
}

// Publisher publishes odds. Make it with New.
type Publisher struct {
	stream Stream
	cfg    Config

	mu        sync.Mutex
	slots     map[int64]*slot
	ready     []int64       // raffles with odds waiting and none under way
	wake      chan struct{} // holds one: ready is not empty
	published map[int64]int64
	warned    time.Time // when a failure was last logged
	known     State     // of the stream; Last is the highest that was acknowledged
}

// slot is one raffle's place in the publisher.
type slot struct {
	waiting *odds  // the newest that are not under way yet
	busy    bool   // a message is under way, or the raffle is in ready
	version int64  // highest version known to be in the stream
	tail    uint64 // sequence of that one, the subject's last; 0: not known
}

// odds are what waits to be published, and the trace that they come from.
type odds struct {
	raffle.Odds
	origin trace.SpanContext
}

// New returns a publisher to a stream; it does nothing until Run.
func New(stream Stream, cfg Config) *Publisher {
	cfg.fill()
	return &Publisher{
		stream:    stream,
		cfg:       cfg,
		slots:     make(map[int64]*slot),
		wake:      make(chan struct{}, 1),
		published: make(map[int64]int64),
	}
}

// Publish takes odds for publishing. Older ones of the same raffle that still
// wait give way to them; odds not newer than what was published or waits are
// dropped. Their publishing belongs to the trace of ctx; how long ctx lasts does
// not matter.
func (p *Publisher) Publish(ctx context.Context, newest ...raffle.Odds) {
	origin := trace.SpanContextFromContext(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range newest {
		p.take(&odds{newest[i], origin})
	}
}

func (p *Publisher) take(o *odds) {
	s := p.slots[o.ID]
	if s == nil {
		s = &slot{}
		p.slots[o.ID] = s
	}
	if o.Version <= s.version {
		p.published[o.ID] = s.version // the database does not know yet
		return
	}
	if s.waiting != nil && o.Version <= s.waiting.Version {
		return
	}
	if s.waiting != nil && !o.origin.IsSampled() {
		o.origin = s.waiting.origin // that trace shows how its entry went on
	}
	s.waiting = o
	if !s.busy {
		s.busy = true
		p.ready = append(p.ready, o.ID)
		p.signal()
	}
}

func (p *Publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// TakePublished returns the newest published version of each raffle, by id, that
// was published since the last call.
func (p *Publisher) TakePublished() map[int64]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.published
	p.published = make(map[int64]int64)
	return taken
}

// Waiting returns how many raffles have odds that are not published yet.
func (p *Publisher) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.slots {
		if s.busy {
			n++
		}
	}
	return n
}

// Run publishes until ctx ends. Call it once.
func (p *Publisher) Run(ctx context.Context) {
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { p.work(ctx) })
	}
	running.Wait()
}

func pause(ctx context.Context) {
	select {
	case <-time.After(retryDelay):
	case <-ctx.Done():
	}
}

func (p *Publisher) work(ctx context.Context) {
	for {
		id, s, o := p.next()
		if s == nil {
			select {
			case <-p.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		tail, version, err := p.send(ctx, s.tail, o)
		if err != nil {
			p.retryLater(ctx, id, s, o, err)
		} else {
			p.done(id, s, tail, version)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// next takes a raffle that is ready, or returns nil. While it is under way, its
// slot's tail belongs to the caller.
func (p *Publisher) next() (int64, *slot, *odds) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		return 0, nil, nil
	}
	id := p.ready[0]
	if p.ready = p.ready[1:]; len(p.ready) > 0 {
		p.signal()
	}
	s := p.slots[id]
	o := s.waiting
	s.waiting = nil
	return id, s, o
}

// done notes that the subject's last message is this version at this sequence.
func (p *Publisher) done(id int64, s *slot, tail uint64, version int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.tail, s.version = tail, version
	p.known.Last = max(p.known.Last, tail)
	p.published[id] = version
	if s.waiting != nil && s.waiting.Version <= version {
		s.waiting = nil // another instance has published as much
	}
	p.release(id, s)
}

// release makes the raffle ready again where newer odds came meanwhile.
func (p *Publisher) release(id int64, s *slot) {
	if s.busy = s.waiting != nil; s.busy {
		p.ready = append(p.ready, id)
		p.signal()
	}
}

// retryDelay is how long a worker rests after a failure.
const retryDelay = 250 * time.Millisecond

// warn logs a failure, at most one a second: with NATS away, every raffle meets
// it over and over.
func (p *Publisher) warn(ctx context.Context, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() == nil && time.Since(p.warned) >= time.Second {
		p.warned = time.Now()
		p.cfg.Log.WarnContext(ctx, "odds can't be published: will try again", "error", err)
	}
}

func (p *Publisher) retryLater(ctx context.Context, id int64, s *slot, o *odds, err error) {
	p.cfg.Failed()
	p.warn(ctx, err)
	pause(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.tail = 0 // the message may have been stored
	if s.waiting == nil {
		s.waiting = o
	}
	p.release(id, s)
}

// lookAgain is how often a conflict is met by looking at the subject's end
// before resting: another instance may be faster, a replica that answers behind.
const lookAgain = 5

// put makes o the subject's last message, unless that is as new already, and
// returns the sequence and version of the last message. tail is where the last
// message is believed to be; 0 means not known.
func (p *Publisher) put(ctx context.Context, tail uint64, o *raffle.Odds) (uint64, int64, error) {
	for range lookAgain {
		if tail == 0 {
			last, version, err := p.stream.Last(ctx, o.ID)
			if err != nil {
				return 0, 0, err
			}
			if version >= o.Version {
				return last, version, nil
			}
			tail = last
		}
		seq, err := p.stream.Append(ctx, *o, tail)
		if err == nil {
			p.cfg.Stored(*o)
			return seq, o.Version, nil
		}
		if !errors.Is(err, ErrConflict) {
			return 0, 0, err
		}
		tail = 0 // another instance was faster: look again
	}
	return 0, 0, ErrConflict
}
