package outbox

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Source is the database, which holds the truth about every raffle. Its methods
// are safe for concurrent use.
type Source interface {
	// List reads at most limit raffles with ids above after, by ascending id. State 0
	// selects raffles of every state.
	List(ctx context.Context, after int64, limit int, state raffle.State) ([]raffle.Raffle, error)
	// Unpublished reads raffles whose newest version is at least this old and is not
	// marked as published.
	Unpublished(ctx context.Context, age time.Duration) ([]raffle.Raffle, error)
	// Checkpoint marks versions, by raffle id, as published.
	Checkpoint(ctx context.Context, published map[int64]int64) error
	// BumpVersion gives a raffle a version above this one, unless it has one already.
	// The new version is enqueued like any other.
	BumpVersion(ctx context.Context, raffleID, above int64) error
}

// Stream is the stream of odds. Its methods are safe for concurrent use.
type Stream interface {
	// Ensure makes the stream if it does not exist.
	Ensure(ctx context.Context) error
	// Last returns the last message of a raffle, or the zero Message if there is none.
	Last(ctx context.Context, raffleID int64) (Message, error)
	// Append stores the odds of r behind the raffle's message with sequence after (0: as
	// the first message) and returns the new sequence. It fails with ErrConflict if the
	// raffle's last message is another one.
	Append(ctx context.Context, r raffle.Raffle, after uint64) (seq uint64, err error)
	// State returns the state of the stream; the zero State if there is no stream.
	State(ctx context.Context) (State, error)
	// Versions returns the version of each raffle's last message, by raffle id.
	Versions(ctx context.Context) (map[int64]int64, error)
}

// Message describes a message in the stream.
type Message struct {
	Seq     uint64
	Version int64         // of the raffle
	Age     time.Duration // by the server's clock
}

// State describes a stream.
type State struct {
	Created time.Time // differs between two streams of the same name
	Last    uint64    // sequence of the last message
}

// Config configures an Outbox. Calls of its functions from several goroutines may
// overlap; those that are nil are not called.
type Config struct {
	OnPublished func(raffle.Raffle) // the stream has acknowledged a version
	OnFailed    func()              // publishing has failed and will be repeated
	OnBumped    func()              // reconcile has bumped a version above the stream's
	Tracer      trace.Tracer
	Log         *slog.Logger
}

func (c *Config) fillDefaults() {
	if c.OnPublished == nil {
		c.OnPublished = func(raffle.Raffle) {}
	}
	if c.OnFailed == nil {
		c.OnFailed = func() {}
	}
	if c.OnBumped == nil {
		c.OnBumped = func() {}
	}
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Outbox publishes what is put into its queue. Make it with New.
type Outbox struct {
	relay      *relay
	reconciler *reconciler
	checkpoint *checkpointer
}

// New returns an outbox that brings what is in the queue to the stream. It does
// nothing until Run is called.
func New(queue *Queue, stream Stream, source Source, cfg Config) *Outbox {
	cfg.fillDefaults()
	return &Outbox{
		relay:      newRelay(queue, stream, cfg),
		reconciler: &reconciler{queue: queue, stream: stream, source: source, cfg: cfg},
		checkpoint: &checkpointer{queue: queue, source: source, log: cfg.Log},
	}
}

// Run publishes until ctx ends, then writes a last checkpoint, and returns. Each
// value from reconnected means that the connection to the stream was lost and is
// back. Call Run once.
func (o *Outbox) Run(ctx context.Context, reconnected <-chan struct{}) {
	var loops sync.WaitGroup
	loops.Go(func() { o.relay.run(ctx) })
	loops.Go(func() { o.reconciler.run(ctx, reconnected) })
	loops.Go(func() { o.checkpoint.run(ctx) })
	loops.Wait()
	o.checkpoint.last(context.WithoutCancel(ctx))
}
