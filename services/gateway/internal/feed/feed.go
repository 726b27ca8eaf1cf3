package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
)

// Config configures a Feed.
type Config struct {
	// Connect starts to connect to NATS. The feed closes the connection.
	Connect func(natsconn.Callbacks) (*nats.Conn, error)
	// APIPrefix comes before JetStream's subjects. Empty: $JS.API.
	APIPrefix string
	// Names are those of the stream and its subjects.
	Names oddsstream.Names
	Cache *cache.Cache
	// Publish is called with each update that is newer than what the cache had, once
	// the cache has it.
	Publish func(*odds.Update)
	// Received, if set, is called with each update that is received live, before it is
	// published.
	Received func(*odds.Update)
	// SnapshotTaken, if set, is called after each snapshot, with its cause.
	SnapshotTaken func(Cause)
	// CheckFailed, if set, is called after each check of the stream's end that got no
	// answer though there was a connection.
	CheckFailed func()
	// OnReady, if set, is called once, when Ready turns true.
	OnReady func()
	Log     *slog.Logger
}

// Feed follows the stream of odds. Make it with New.
type Feed struct {
	cfg      Config
	nc       *nats.Conn
	js       jetstream.JetStream
	ready    atomic.Bool
	complete atomic.Bool
	// resync has capacity 1: the cause for which a snapshot should be taken.
	resync    chan Cause
	backfills singleflight.Group
	// publishMu is held while an update is added to the cache and published, so that
	// updates are published in the order of their versions.
	publishMu sync.Mutex

	// Bounds of what may wait to be handled. Beyond them messages are dropped, and the
	// newest odds are read from the stream instead.
	pendingMessages, pendingBytes int
	checkInterval, requestTimeout time.Duration
	// patience is how long checks may fail before the feed leaves the server.
	patience time.Duration

	behind int // snapshots in a row that lacked the stream's last message

	badMessages, failedBackfills rate.Sometimes // limit how often these are logged

	mu       sync.Mutex
	position position
	// cancelInFlight cancels the request that was sent last.
	cancelInFlight context.CancelFunc
}

// position is how far along the stream the feed is.
type position struct {
	created  time.Time // when the stream was created, by which another one is recognized
	stream   int64     // counts the streams, also one that has lost its end
	sequence uint64    // highest that was received live or is covered by a snapshot
	live     uint64    // the one that was received live last
}

// logInterval is the least time between two log lines about the same trouble.
const logInterval = time.Minute

// New returns a feed that has started to connect to NATS, but does nothing else
// until Run. It fails if the connection's settings cannot be right.
func New(cfg Config) (*Feed, error) {
	f := &Feed{
		cfg: cfg, resync: make(chan Cause, 1),
		pendingMessages: 65_536, pendingBytes: 32 << 20,
		checkInterval: checkInterval, requestTimeout: requestTimeout, patience: natsconn.Patience,
		badMessages:     rate.Sometimes{First: 10, Interval: logInterval},
		failedBackfills: rate.Sometimes{Interval: logInterval},
		cancelInFlight:  func() {},
	}
	nc, err := cfg.Connect(natsconn.Callbacks{
		OnConnect:   func() { f.requestSnapshot(Connected) },
		OnReconnect: f.onReconnect,
		OnError:     f.onError,
	})
	if err != nil {
		return nil, err
	}
	js, err := jetstream.NewWithAPIPrefix(nc, cmp.Or(cfg.APIPrefix, jetstream.DefaultAPIPrefix))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	f.nc, f.js = nc, js
	return f, nil
}

// Ready reports whether the cache has, or once had, the odds of all raffles.
func (f *Feed) Ready() bool { return f.ready.Load() }

// Complete reports whether a raffle that the cache does not have does not exist: the
// last snapshot was of a stream that its participation has filled.
func (f *Feed) Complete() bool { return f.complete.Load() }

// Connected reports whether there is a connection to NATS.
func (f *Feed) Connected() bool { return f.nc.IsConnected() }

// Conn returns the connection to NATS, which is closed when Run returns.
func (f *Feed) Conn() *nats.Conn { return f.nc }

// Run follows the stream until ctx ends, then closes the connection. Call it once.
func (f *Feed) Run(ctx context.Context) error {
	defer f.nc.Close()
	sub, err := f.nc.Subscribe(f.cfg.Names.AllLive(), f.onMessage)
	if err != nil {
		return fmt.Errorf("subscribe to odds: %w", err)
	}
	if err := sub.SetPendingLimits(f.pendingMessages, f.pendingBytes); err != nil {
		return fmt.Errorf("bound the subscription: %w", err)
	}
	f.follow(ctx)
	return nil
}

// onReconnect requests a snapshot, and cancels the request that is in flight: what
// was sent on the connection before gets no answer.
func (f *Feed) onReconnect() {
	f.mu.Lock()
	cancelInFlight := f.cancelInFlight
	f.mu.Unlock()
	f.requestSnapshot(Reconnected)
	cancelInFlight()
}

func (f *Feed) onError(err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		f.requestSnapshot(SlowConsumer)
	}
}

// requestSnapshot has a snapshot taken. One that was requested before and has not
// begun serves both.
func (f *Feed) requestSnapshot(cause Cause) {
	select {
	case f.resync <- cause:
	default:
	}
}

// onMessage handles a message that the server has republished from the stream.
func (f *Feed) onMessage(msg *nats.Msg) {
	sequence, err := strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		f.logBadMessage(msg.Subject, errors.New("it is not from the stream"))
		return
	}
	u, err := f.decode(msg.Subject, msg.Data)
	f.publishMu.Lock()
	defer f.publishMu.Unlock()
	at := f.noteSequence(sequence)
	if err != nil {
		f.logBadMessage(msg.Subject, err)
		return
	}
	u.Position = at
	u.Delivery = &odds.Delivery{Received: time.Now(), Origin: telemetry.Extract(msg)}
	if f.cfg.Received != nil {
		f.cfg.Received(u)
	}
	if f.cfg.Cache.Put(u) {
		f.cfg.Publish(u)
	}
}

// noteSequence notes the sequence of a message that was received live, and returns the
// message's position. If another one may have been missed before it, noteSequence
// invalidates the cache and requests a snapshot. It is called with publishMu held, so
// that the cache does not change between that and the message.
func (f *Feed) noteSequence(sequence uint64) odds.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch p := &f.position; {
	case sequence <= p.live: // the stream is another one, or has lost its tail
		p.stream++
		p.sequence = sequence
		f.cfg.Cache.Invalidate()
		f.requestSnapshot(AnotherStream)
	case sequence > p.sequence+1:
		f.cfg.Cache.Invalidate()
		f.requestSnapshot(Gap)
	}
	f.position.sequence = max(f.position.sequence, sequence)
	f.position.live = sequence
	return odds.Position{Stream: f.position.stream, Sequence: sequence}
}

// decode decodes a message of the stream.
func (f *Feed) decode(subject string, data []byte) (*odds.Update, error) {
	u, err := odds.Decode(data)
	if err != nil {
		return nil, err
	}
	if id, ok := f.cfg.Names.RaffleID(subject); !ok || id != u.RaffleID {
		return nil, fmt.Errorf("it is of raffle %d", u.RaffleID)
	}
	return u, nil
}

// logBadMessage logs that a message was dropped: none may stop the feed.
func (f *Feed) logBadMessage(subject string, err error) {
	f.badMessages.Do(func() {
		f.cfg.Log.Warn("odds: dropped a message that cannot be read", "subject", subject, "error", err)
	})
}
