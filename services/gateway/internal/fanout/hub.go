package fanout

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// Config is how a hub treats its connections.
type Config struct {
	Spacing      time.Duration // least time between two updates of a raffle
	Heartbeat    time.Duration // silence before a heartbeat, give or take 20 %
	Lifetime     time.Duration // of a connection, give or take 20 %
	RetryMin     time.Duration // bounds of the wait that a client is told when it is sent away
	RetryMax     time.Duration
	WriteTimeout time.Duration // a client that takes nothing for so long is dropped
	// SendBuffer bounds what the kernel holds for a client, in bytes; it takes
	// twice as much for its own needs. 0: the system's default.
	SendBuffer int
	// Newest returns a raffle's newest odds, or nil. An update that it returns
	// may or may not have been published yet.
	Newest func(raffleID int64) *odds.Update
	// Arrived, where set, is told of each published update with a trip, once it has
	// been offered to all who watch its raffle, or a newer one has taken its place.
	// It is called by a shard, or from Publish, and must not block. Connections that
	// are behind, and those with a handler of their own, may get it later.
	Arrived func(*odds.Update)
	// Ordinary has every connection served by its handler, as where there is no
	// epoll.
	Ordinary bool
	// Shards is how many goroutines write; 0: one per core.
	Shards int
}

// Hub knows who watches which raffle. Make it with NewHub.
type Hub struct {
	cfg    Config
	start  time.Time // times are counted from here
	shards []*shard
	turn   atomic.Uint32

	mu      sync.Mutex // guards what follows
	open    int
	leaving bool
	empty   chan struct{} // closed when leaving and none is open
}

// NewHub returns a hub. It fails where the system has no means to wait for
// sockets left.
func NewHub(cfg Config) (*Hub, error) {
	h := &Hub{cfg: cfg, start: time.Now(), empty: make(chan struct{})}
	n := cfg.Shards
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	for range n {
		s, err := newShard(h)
		if err != nil {
			for _, s := range h.shards {
				s.poller.close()
			}
			return nil, err
		}
		h.shards = append(h.shards, s)
	}
	return h, nil
}

// Run works until ctx ends, then closes all connections. Call it once.
func (h *Hub) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, s := range h.shards {
		running.Go(s.run)
	}
	<-ctx.Done()
	h.mu.Lock()
	h.leave()
	h.mu.Unlock()
	for _, s := range h.shards {
		s.post(func() { s.stopping = true })
	}
	running.Wait()
	return nil
}

// Publish hands an update to all who watch its raffle, at once or when the
// spacing has passed; by then a newer one may have taken its place. The caller
// publishes a raffle's updates one at a time, in the order of their versions.
func (h *Hub) Publish(u *odds.Update) {
	if u.Trip != nil {
		u.Trip.Begin(len(h.shards))
	}
	for _, s := range h.shards {
		if !s.publish(u) {
			h.arrived(u, 0)
		}
	}
	h.arrived(u, 0)
}

// Leave refuses new connections and ends the open ones, evenly over the window,
// each with a wait of its own before it comes back. It returns when all have
// ended, or with ctx.
func (h *Hub) Leave(ctx context.Context, window time.Duration) {
	h.mu.Lock()
	h.leave()
	h.mu.Unlock()
	for _, s := range h.shards {
		s.post(func() { s.leave(window) })
	}
	select {
	case <-h.empty:
	case <-ctx.Done():
	}
}

// leave refuses new connections. h.mu is held.
func (h *Hub) leave() {
	if !h.leaving {
		h.leaving = true
		if h.open == 0 {
			close(h.empty)
		}
	}
}

// enter counts a connection in, unless the hub is leaving.
func (h *Hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.leaving {
		return false
	}
	h.open++
	return true
}

func (h *Hub) exit() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
	if h.leaving && h.open == 0 {
		close(h.empty)
	}
}

// now returns the time since the hub was made.
func (h *Hub) now() time.Duration { return time.Since(h.start) }

// jitter returns d, give or take nearly 20 %, so that what began together does
// not happen together. The rest of the 20 % is for how coarse the wheel is.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.39*rand.Float64()))
}

// Open returns how many connections are open.
func (h *Hub) Open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}
