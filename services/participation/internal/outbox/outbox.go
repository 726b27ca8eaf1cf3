package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Source is the database, which holds the truth about every raffle. Its methods
// are safe for concurrent use.
type Source interface {
	// List reads at most limit raffles with ids above after, by ascending id. State 0
	// selects raffles of every state. Raffles that can't be read are left out; there are no
	// others if it returns fewer than limit.
	List(ctx context.Context, after int64, limit int, state raffle.State) ([]raffle.Raffle, error)
	// Unpublished reads raffles whose newest version is at least this old and is not
	// marked as published.
	Unpublished(ctx context.Context, age time.Duration) ([]raffle.Raffle, error)
	// Get reads one raffle. It fails with *raffle.NotFoundError, or with
	// *raffle.UnreadableError if it exists and its row can't be read.
	Get(ctx context.Context, id int64) (raffle.Raffle, error)
	// Checkpoint marks versions, by raffle id, as published. It returns the raffles that
	// the database does not have in this epoch and up to this version, and does not mark
	// them.
	Checkpoint(ctx context.Context, published map[int64]raffle.Published) (drifted []int64, err error)
	// BumpVersion gives a raffle a version above this one if needed reports so for its
	// row, which is locked meanwhile, and reports whether it did. The new version is
	// enqueued like any other. It fails with *raffle.NotFoundError.
	BumpVersion(ctx context.Context, raffleID, above int64, needed func(raffle.Raffle) bool) (bool, error)
	// RestartLog begins another log of a raffle if its log is not a continuation of what
	// was seen of it, and reports whether it did. The new version is enqueued like any
	// other. A raffle that has ended keeps its log.
	RestartLog(ctx context.Context, raffleID int64, seen raffle.SeenLog) (bool, error)
	// SkipIDs gives raffles that are made from now on ids above this one.
	SkipIDs(ctx context.Context, id int64) error
	// Identity reads which database answers, and raises its ticks.
	Identity(ctx context.Context) (raffle.DatabaseIdentity, error)
	// Reset closes all connections to the database; new ones are made when needed.
	Reset()
}

// Stream is the stream of odds. Its methods are safe for concurrent use. If it belongs
// to another database, all methods but UseDatabase fail with *ForeignStreamError.
type Stream interface {
	// UseDatabase says which database's odds are published.
	UseDatabase(id string)
	// Ensure makes the stream if it does not exist, and takes it over for our database if
	// it belongs to none.
	Ensure(ctx context.Context) error
	// Last returns the last message of a raffle, or the zero Message if there is none.
	Last(ctx context.Context, raffleID int64) (Message, error)
	// Append stores the odds of r behind the raffle's message with sequence after (0: as
	// the first message) and returns the new sequence. It fails with ErrConflict if the
	// raffle's last message is another one.
	Append(ctx context.Context, r raffle.Raffle, after uint64) (seq uint64, err error)
	// Remove stores behind last, the raffle's last message, that the raffle does not exist
	// any more, and returns the new sequence. It fails with ErrConflict as Append does.
	Remove(ctx context.Context, raffleID int64, last Message) (seq uint64, err error)
	// State returns the state of the stream; the zero State if there is no stream.
	State(ctx context.Context) (State, error)
	// Counts returns the state of the stream, as State does, and how many messages each
	// raffle had then.
	Counts(ctx context.Context) (State, map[int64]uint64, error)
	// Newest returns each raffle's last message, by raffle id, without its age.
	Newest(ctx context.Context) (map[int64]Message, error)
	// MarkReconciled records that the stream which was created then has all raffles of
	// the database. It fails if the stream is another one.
	MarkReconciled(ctx context.Context, created time.Time) error
}

// State describes a stream.
type State struct {
	Created    time.Time // differs between two streams of the same name
	Last       uint64    // sequence of the last message; it never falls, even if that message is deleted
	Messages   uint64    // falls only if messages are deleted
	Subjects   uint64    // raffles that have messages; falls only if messages are deleted
	Owned      bool      // it is recorded that the stream belongs to our database
	Reconciled bool      // it is recorded that the stream has all raffles
}

// ForeignStreamError means that the stream of odds belongs to another database.
type ForeignStreamError struct{ Stream, Owner, Database string }

func (e *ForeignStreamError) Error() string {
	return fmt.Sprintf("the stream %s belongs to the database %s, and ours is %s: environments that share a NATS cluster "+
		"need different values of --nats-prefix (NATS_PREFIX)", e.Stream, e.Owner, e.Database)
}

// Config configures an Outbox. Calls of its functions from several goroutines may
// overlap; those that are nil are not called.
type Config struct {
	OnPublished func(raffle.Raffle) // the stream has acknowledged a version
	OnFailed    func()              // publishing has failed and will be repeated
	OnBumped    func()              // a version was bumped above the stream's
	OnRemoved   func()              // the stream was told that a raffle does not exist any more
	OnDamaged   func()              // a message was found that no reader can believe
	// Comparison is told when the database was compared with the stream.
	Comparison *raffle.Comparison
	Names      oddsstream.Names // of the stream, for spans
	Tracer     trace.Tracer
	Log        *slog.Logger
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
	if c.OnRemoved == nil {
		c.OnRemoved = func() {}
	}
	if c.OnDamaged == nil {
		c.OnDamaged = func() {}
	}
	if c.Comparison == nil {
		c.Comparison = new(raffle.Comparison)
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
	mender := newMender(queue, stream, source, cfg)
	return &Outbox{
		relay:      newRelay(queue, stream, mender, cfg),
		reconciler: newReconciler(mender),
		checkpoint: &checkpointer{queue: queue, source: source, mend: mender.mend, log: cfg.Log},
	}
}

// Run publishes until ctx ends, then writes a last checkpoint, and returns. Each
// value from reconnected means that the connection to the stream was lost and is
// back. Call Run once.
func (o *Outbox) Run(ctx context.Context, reconnected <-chan struct{}) {
	var loops sync.WaitGroup
	loops.Go(func() { o.relay.run(ctx) })
	loops.Go(func() { o.reconciler.run(ctx, reconnected) })
	loops.Go(func() { o.reconciler.watchDatabase(ctx) })
	loops.Go(func() { o.checkpoint.run(ctx) })
	loops.Wait()
	o.checkpoint.last(context.WithoutCancel(ctx))
}
