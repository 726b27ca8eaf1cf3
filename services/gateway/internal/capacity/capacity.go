// Package capacity keeps new clients away from an instance that is almost full, while
// others have room, and moves some of its clients to them.
//
// # Why instances tell each other
//
// An instance that is not ready gets no clients. If all of them were almost full and not
// ready at the same time, nobody would get any, although there was room for a tenth
// more. No instance can know that by itself, and neither waiting nor chance excludes it.
// So each says once a second, by NATS, whether it has room, and is not ready only while
// another one has room by what it said last, within three seconds. That one is ready. If
// two become full in the same second, each learns of the other within the next one, and
// both are ready, before a probe has failed twice.
//
// What is told is worth nothing later, so instances stay stateless. Without NATS, or where
// it does not let gateways use the subject, all stay ready up to the connection limit.
//
// # Concurrency
//
// Ready is safe for concurrent use. Run uses one goroutine, and the subscription's.
package capacity

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Config configures a Watch.
type Config struct {
	Limit    int // most connections
	FullAt   int // percent of Limit from which on the instance is full; 0: it never is
	RoomAt   int // percent of Limit below which it has room (again); below FullAt
	Subject  string
	Conn     *nats.Conn
	Open     func() int  // connections that are open
	IsTaking func() bool // the instance could take clients if it was not full
	// End ends the connections that have lasted longest, this many, over a second.
	End func(n int)
	// Window is the time in which a full instance would end all of its connections. It
	// stops as soon as it has room. 0: it ends none.
	Window time.Duration
}

const (
	interval = time.Second     // between two messages, and two decisions
	validity = 3 * interval    // of a message
	maxPeers = 4096            // that are remembered
	idLength = len("ABCDEFGH") // of an instance's random name

	// Each message is one of these and the name of the instance.
	hasRoom = "+"
	hasNone = "-"
)

// Watch watches how full this instance is, and whether others have room. Make it with
// New.
type Watch struct {
	cfg  Config
	id   string
	tell func(room bool) // says whether this instance has room
	away atomic.Bool     // new clients had better go to another instance

	isFull bool // Run's

	mu    sync.Mutex
	peers map[string]time.Time // those that have room by what each said last, and when that was
}

// New returns a watch that does nothing until Run.
func New(cfg Config) *Watch {
	w := &Watch{cfg: cfg, id: rand.Text()[:idLength], peers: make(map[string]time.Time)}
	w.tell = func(room bool) {
		_ = cfg.Conn.Publish(cfg.Subject, []byte(message(w.id, room))) // the next one follows in a second
	}
	return w
}

// message returns what an instance says.
func message(id string, room bool) string {
	if room {
		return hasRoom + id
	}
	return hasNone + id
}

// Ready reports whether new clients may come: the instance is not full, or no other one
// has room.
func (w *Watch) Ready() bool { return !w.away.Load() }

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	if w.cfg.FullAt == 0 {
		return nil
	}
	sub, err := w.cfg.Conn.Subscribe(w.cfg.Subject, func(msg *nats.Msg) { w.receive(string(msg.Data), time.Now()) })
	if ctx.Err() != nil {
		return nil // the connection may be closed already
	}
	if err != nil {
		return fmt.Errorf("subscribe to what other gateways say: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		w.step(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// step decides what to do, does it, and tells the others.
func (w *Watch) step(now time.Time) {
	open := w.cfg.Open()
	room := w.cfg.Limit * w.cfg.RoomAt / 100
	switch {
	case open < room:
		w.isFull = false
	case open*100 >= w.cfg.Limit*w.cfg.FullAt:
		w.isFull = true
	}
	away := w.isFull && w.othersHaveRoom(now)
	w.away.Store(away)
	if away && w.cfg.Window > 0 {
		share := int(int64(open) * int64(interval) / int64(w.cfg.Window))
		w.cfg.End(min(max(share, 1), open-room+1))
	}
	w.tell(open < room && w.cfg.IsTaking())
}

// receive notes whether another instance has room.
func (w *Watch) receive(said string, now time.Time) {
	id, room := strings.CutPrefix(said, hasRoom)
	if !room {
		id = strings.TrimPrefix(said, hasNone)
	}
	if id == w.id || len(said) != len(hasRoom)+idLength {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !room {
		delete(w.peers, id)
	} else if _, known := w.peers[id]; known || len(w.peers) < maxPeers {
		w.peers[id] = now
	}
}

// othersHaveRoom reports whether another instance has said so lately.
func (w *Watch) othersHaveRoom(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, at := range w.peers {
		if now.Sub(at) > validity {
			delete(w.peers, id)
		}
	}
	return len(w.peers) > 0
}
