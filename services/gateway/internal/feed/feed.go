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

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
)

// Config is what a feed works with.
type Config struct {
	NATS      natsconn.Servers
	APIPrefix string // before JetStream's subjects; empty: as it is by itself
	// Out is called with each update that is newer than what was known.
	Out func(*odds.Update)
	// Heard, where set, is given each update that is heard live, with its trip,
	// before it goes out.
	Heard func(*odds.Update)
	// Snapshot, where set, is told of each snapshot that was taken, and why.
	Snapshot func(Cause)
	Log      *slog.Logger
}

// Feed holds the newest odds of all raffles. Make it with New.
type Feed struct {
	cfg   Config
	board *board
	ready atomic.Bool
	// taking is held while an update is put on the board and goes out.
	taking sync.Mutex
	// wanted holds one: the cause for which a snapshot should be taken.
	wanted chan Cause
	// bounds of what may wait to be heard; past them the newest odds are fetched
	// from the stream instead.
	pendingMessages, pendingBytes int
	checkInterval, requestTimeout time.Duration
	giveUp                        atomic.Pointer[context.CancelFunc]  // ends the exchange that is under way
	js                            atomic.Pointer[jetstream.JetStream] // once there may be a connection
	conn                          atomic.Pointer[nats.Conn]           // likewise
	recalls                       singleflight.Group

	mu       sync.Mutex
	position position
}

// position is how far along the stream the feed is.
type position struct {
	created  time.Time // of the stream, by which a new one is told
	sequence uint64    // highest that was heard or is covered by a snapshot
}

// New returns a feed that does nothing until Run.
func New(cfg Config) *Feed {
	return &Feed{
		cfg: cfg, board: newBoard(), wanted: make(chan Cause, 1),
		pendingMessages: 65_536, pendingBytes: 32 << 20, checkInterval: checkInterval, requestTimeout: requestTimeout,
	}
}

// Ready tells whether the feed knows, or has known, the odds of all raffles.
func (f *Feed) Ready() bool { return f.ready.Load() }

// apiPrefix returns what comes before JetStream's subjects, without the dot.
func (f *Feed) apiPrefix() string { return cmp.Or(f.cfg.APIPrefix, "$JS.API") }

// Connected tells whether there is a connection to NATS.
func (f *Feed) Connected() bool {
	nc := f.conn.Load()
	return nc != nil && nc.IsConnected()
}

// Newest returns a raffle's newest odds, or nil where the raffle is not known.
func (f *Feed) Newest(raffleID int64) *odds.Update {
	known := f.board.updates(raffleID)
	if len(known) == 0 {
		return nil
	}
	return known[len(known)-1]
}

// Since returns the updates of a raffle after a version, in order. complete
// tells whether these are all there were; if not, the newest alone is returned.
func (f *Feed) Since(raffleID, version int64) (updates []*odds.Update, complete bool) {
	known := f.board.updates(raffleID)
	for i, u := range known {
		switch {
		case u.Version == version:
			return known[i+1:], true
		case u.Version > version && (i > 0 || u.Version == version+1):
			return known[i:], true
		case u.Version > version:
			return known[len(known)-1:], false
		}
	}
	return nil, true // nothing newer is known
}

// List returns up to limit newest odds that keep accepts, of raffles with ids
// above after, by ascending id.
func (f *Feed) List(after int64, limit int, keep func(*odds.Update) bool) []*odds.Update {
	return f.board.list(after, limit, keep)
}

// Size returns how many raffles are known.
func (f *Feed) Size() int { return f.board.size() }

// A connection that is cut without a word is noticed within three of these.
const pingInterval = 2 * time.Second

// Run listens until ctx ends. It fails where the URL can't be one of NATS.
func (f *Feed) Run(ctx context.Context) error {
	nc, err := natsconn.Connect(f.cfg.NATS, "rafflecast gateway", f.cfg.Log,
		nats.PingInterval(pingInterval),
		nats.ConnectHandler(func(*nats.Conn) { f.want(Connected) }),
		nats.ReconnectHandler(func(*nats.Conn) { f.reconnected() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			f.cfg.Log.Warn("NATS", "error", err)
			if errors.Is(err, nats.ErrSlowConsumer) {
				f.want(SlowConsumer)
			}
		}),
	)
	if err != nil {
		return err
	}
	defer nc.Close()
	sub, err := nc.Subscribe(oddsstream.AllLive, f.hear)
	if err != nil {
		return fmt.Errorf("subscribe to odds: %w", err)
	}
	if err := sub.SetPendingLimits(f.pendingMessages, f.pendingBytes); err != nil {
		return fmt.Errorf("bound the subscription: %w", err)
	}
	js, err := jetstream.NewWithAPIPrefix(nc, f.apiPrefix())
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	f.js.Store(&js)
	f.conn.Store(nc)
	f.follow(ctx, js)
	return nil
}

// reconnected asks for a snapshot, and ends the exchange that is under way: what
// was asked on the connection before gets no answer.
func (f *Feed) reconnected() {
	giveUp := f.giveUp.Load()
	f.want(Reconnected)
	if giveUp != nil {
		(*giveUp)()
	}
}

// want asks for a snapshot; one that was asked for before serves both.
func (f *Feed) want(cause Cause) {
	select {
	case f.wanted <- cause:
	default:
	}
}

// hear takes a message that the server repeats from the stream.
func (f *Feed) hear(msg *nats.Msg) {
	sequence, err := strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		f.cfg.Log.Warn("odds: a message that is not from the stream", "subject", msg.Subject)
		return
	}
	f.mu.Lock()
	gap := sequence > f.position.sequence+1
	f.position.sequence = max(f.position.sequence, sequence)
	f.mu.Unlock()
	if gap {
		f.board.missed()
		f.want(Gap)
	}
	f.take(msg.Subject, msg.Data, func(u *odds.Update) bool {
		u.Trip = &odds.Trip{Heard: time.Now(), Origin: telemetry.Extract(msg)}
		if f.cfg.Heard != nil {
			f.cfg.Heard(u)
		}
		return f.board.put(u, !gap)
	})
}

// take adds a message's odds to the board. What can't be read is logged and
// dropped: no message may stop the feed.
func (f *Feed) take(subject string, data []byte, put func(*odds.Update) bool) {
	u, err := odds.Decode(data)
	if err != nil {
		f.cfg.Log.Warn("odds: a message that can't be read", "subject", subject, "error", err)
		return
	}
	if id, ok := oddsstream.RaffleID(subject); !ok || id != u.RaffleID {
		f.cfg.Log.Warn("odds: a message under another raffle's subject", "subject", subject, "raffle", u.RaffleID)
		return
	}
	// Both at once, so that updates go out in the order of their versions.
	f.taking.Lock()
	defer f.taking.Unlock()
	if put(u) {
		f.cfg.Out(u)
	}
}
