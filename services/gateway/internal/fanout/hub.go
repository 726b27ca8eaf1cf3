package fanout

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// Config configures a Hub.
type Config struct {
	// Cache has each update before it is published.
	Cache *cache.Cache

	ConflationInterval time.Duration // least time between two updates of a raffle; 0: none
	Heartbeat          time.Duration // silence before a heartbeat, ±20 %
	Lifetime           time.Duration // of a connection, ±20 %
	RetryMin, RetryMax time.Duration // bounds of the wait that a drained client is told
	WriteTimeout       time.Duration // a client that takes nothing for so long is dropped
	// SendBuffer bounds what the kernel buffers for a client, in bytes; the kernel
	// takes twice as much for its own needs. 0: the system's default.
	SendBuffer int

	// Delivered, if set, is called with each published update that has a Delivery, once
	// it has been written to all its subscribers except those that are blocked, or
	// served by a handler that is busy: they get it, or a newer one, later. It is not
	// called for an update that was conflated away for some of them. It is called by a
	// shard or from Publish, and must not block.
	Delivered func(*odds.Update)
	// PassEnded, if set, is called by each shard at the end of each pass, with the update that
	// the pass began with, if it has a Delivery: all of the shard's subscribers but those as
	// above have been written that update or a newer one, and one at least was in this pass.
	// It must not block.
	PassEnded func(*odds.Update)
}

// Option changes how a hub works. Options are for tests.
type Option func(*options)

type options struct {
	shards    int // goroutines that write; 0: one per core
	newPoller func() (poller, error)
}

// DisableDetach has every connection served by its handler, as on systems without
// epoll.
func DisableDetach(o *options) {
	o.newPoller = func() (poller, error) { return newNoopPoller(), nil }
}

// Hub sends updates to their subscribers. Make it with NewHub.
type Hub struct {
	cfg    Config
	detach bool
	start  time.Time // times are counted from here
	shards []*shard
	turn   atomic.Uint32
	polls  endings // of long polls

	mu          sync.Mutex // guards what follows
	open        int        // streams and long polls
	opened      int64      // of these, ever
	drainWindow time.Duration
	draining    chan struct{} // closed when new connections are refused
	drained     chan struct{} // closed when draining and none is open
	stopped     chan struct{} // closed when Run's context has ended
}

// NewHub returns a hub. It fails if the system has no descriptors left to wait for
// sockets.
func NewHub(cfg Config, opts ...Option) (*Hub, error) {
	o := options{shards: runtime.GOMAXPROCS(0)}
	for _, option := range opts {
		option(&o)
	}
	h := &Hub{
		cfg: cfg, detach: canDetach && o.newPoller == nil, start: time.Now(),
		draining: make(chan struct{}), drained: make(chan struct{}), stopped: make(chan struct{}),
	}
	if o.newPoller == nil {
		o.newPoller = newPoller
	}
	for range o.shards {
		p, err := o.newPoller()
		if err != nil {
			for _, s := range h.shards {
				s.poller.close()
			}
			return nil, err
		}
		h.shards = append(h.shards, newShard(h, p))
	}
	return h, nil
}

// Run works until ctx ends, then closes all connections and returns nil. Call it
// once.
func (h *Hub) Run(ctx context.Context) error {
	var shards sync.WaitGroup
	for _, s := range h.shards {
		shards.Go(s.run)
	}
	<-ctx.Done()
	h.refuseNew(0)
	close(h.stopped)
	for _, s := range h.shards {
		s.do(func() { s.stopping = true })
	}
	shards.Wait()
	<-h.drained // long polls have no shard
	return nil
}

// Publish sends an update to the subscribers of its raffle, at once or when the
// conflation interval is over; by then a newer one may have replaced it. The caller
// publishes a raffle's updates one at a time, in the order of their versions.
func (h *Hub) Publish(u *odds.Update) {
	if u.Delivery != nil {
		u.Delivery.Start(len(h.shards))
	}
	for _, s := range h.shards {
		if !s.publish(u) {
			h.done(u, 0)
		}
	}
}

// done records that a shard has written an update to all its subscribers, which are
// this many connections.
func (h *Hub) done(u *odds.Update, connections int) {
	if u.Delivery != nil && u.Delivery.Done(connections) && h.cfg.Delivered != nil {
		h.cfg.Delivered(u)
	}
}

// Drain refuses new connections and ends the open ones evenly over the window, each
// with its own wait before the client comes back. It returns when all have ended,
// or with ctx.
func (h *Hub) Drain(ctx context.Context, window time.Duration) {
	h.refuseNew(window)
	for _, s := range h.shards {
		s.do(func() { s.drain(window) })
	}
	select {
	case <-h.drained:
	case <-ctx.Done():
	}
}

// EndOldest ends the n streams that have lasted longest, evenly over the window, each
// with its own wait before the client comes back. It returns at once. Long polls end
// by themselves.
func (h *Hub) EndOldest(n int, window time.Duration) {
	for i, s := range h.shards {
		share := (n + i) / len(h.shards) // the last shards take what is left over
		s.do(func() { s.endOldest(share, window) })
	}
}

// refuseNew refuses new connections from now on.
func (h *Hub) refuseNew(window time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isDraining() {
		return
	}
	h.drainWindow = window
	close(h.draining)
	if h.open == 0 {
		close(h.drained)
	}
}

func (h *Hub) isDraining() bool {
	select {
	case <-h.draining:
		return true
	default:
		return false
	}
}

// enter counts a connection as open and reports whether it may be: the hub is not
// draining.
func (h *Hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isDraining() {
		return false
	}
	h.open++
	h.opened++
	return true
}

// exit counts a connection as closed.
func (h *Hub) exit() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
	if h.open == 0 && h.isDraining() {
		close(h.drained)
	}
}

// Open returns how many streams and long polls are open.
func (h *Hub) Open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// Opened returns how many streams and long polls have been opened so far.
func (h *Hub) Opened() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.opened
}

// now returns the time since the hub was made.
func (h *Hub) now() time.Duration { return time.Since(h.start) }

// jitter returns d ±20 %, so that what began together does not happen together. The
// upper bound is 19 %: the timer wheel may fire 1 % late.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.39*rand.Float64()))
}
