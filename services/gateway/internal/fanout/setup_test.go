package fanout

import (
	"bytes"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

const interval = 50 * time.Millisecond // of conflation

func testConfig() Config {
	return Config{
		Cache: cache.New(), ConflationInterval: interval, Heartbeat: 15 * time.Second, Lifetime: 30 * time.Minute,
		RetryMin: time.Second, RetryMax: 5 * time.Second, WriteTimeout: 30 * time.Second,
	}
}

func update(raffleID, version int64) *odds.Update {
	return updateIn(testEpoch, raffleID, version)
}

const testEpoch = "e"

// updateIn returns an update of a life of a raffle. A later life has a later epoch.
func updateIn(epoch string, raffleID, version int64) *odds.Update {
	u := &odds.Update{RaffleID: raffleID, Epoch: epoch, Version: version, Position: odds.Position{Sequence: uint64(epoch[0])}}
	id := odds.ID(u)
	u.Frame = sse.AppendEvent(nil, id, odds.Event, bytes.Repeat([]byte(id), 10))
	u.Body = u.Frame[bytes.IndexByte(u.Frame, '\n')+1:]
	return u
}

// updates returns versions from..to of a raffle.
func updates(raffleID, from, to int64) (updates []*odds.Update) {
	for v := from; v <= to; v++ {
		updates = append(updates, update(raffleID, v))
	}
	return updates
}

// fakeSocket takes as many bytes as it has room for.
type fakeSocket struct {
	t      *testing.T
	room   int
	taken  []byte
	writes int // that took something
	closed bool
	err    error
}

func (s *fakeSocket) write(b []byte) (int, error) {
	if s.closed {
		s.t.Error("written to after close")
	}
	if s.err != nil {
		return 0, s.err
	}
	n := min(s.room, len(b))
	s.room -= n
	s.taken = append(s.taken, b[:n]...)
	if n > 0 {
		s.writes++
	}
	return n, nil
}

func (s *fakeSocket) close() {
	if s.closed {
		s.t.Error("closed twice")
	}
	s.closed = true
}

const unlimited = 1 << 30

// testShard is a shard that a test moves by hand, in a time of its own: it does not notice
// how busy the machine is.
type testShard struct {
	t     *testing.T
	hub   *Hub
	shard *shard
	conns []*conn
	ended map[*conn]Reason
	// tracked are the updates that were published, and delivered says how often each
	// was reported as delivered.
	tracked   []*odds.Update
	delivered map[*odds.Update]int
	passed    []int64 // versions with which passes began, as they ended
}

func newTestShard(t *testing.T, change ...func(*Config)) *testShard {
	t.Helper()
	s := &testShard{t: t, ended: make(map[*conn]Reason), delivered: make(map[*odds.Update]int)}
	cfg := testConfig()
	cfg.Delivered = func(u *odds.Update) { s.delivered[u]++ }
	cfg.PassEnded = func(u *odds.Update) { s.passed = append(s.passed, u.Version) }
	for _, f := range change {
		f(&cfg)
	}
	hub, err := NewHub(cfg, DisableDetach, func(o *options) { o.shards = 1 })
	if err != nil {
		t.Fatal(err)
	}
	s.hub, s.shard = hub, hub.shards[0]
	s.shard.clock = func() (wall, cpu time.Duration) { return s.shard.now, s.shard.now } // never kept from its core
	return s
}

const opening = ": opening\n\n"

// connect adds a connection whose socket has room for so many bytes.
func (s *testShard) connect(room int, subs ...Subscription) *conn {
	s.t.Helper()
	return s.open(room, Stream{Subscriptions: subs})
}

func (s *testShard) open(room int, stream Stream) *conn {
	s.t.Helper()
	if !s.hub.enter() {
		s.t.Fatal("the hub is draining")
	}
	stream.Opening = []byte(opening)
	for i := range stream.Subscriptions {
		sub := &stream.Subscriptions[i]
		newest := s.hub.cfg.Cache.Newest(sub.RaffleID)
		if newest == nil {
			continue
		}
		if sub.LastSent > 0 {
			sub.Life = newest.Life
		}
		for _, u := range stream.Backlog {
			if u.RaffleID == sub.RaffleID {
				u.Life = newest.Life
			}
		}
	}
	c := s.hub.newConn(stream)
	c.endsAt += s.shard.now // which the test has moved
	c.writer = &fakeSocket{t: s.t, room: room}
	c.done = func(why Reason) {
		if _, twice := s.ended[c]; twice {
			s.t.Error("Done was called twice")
		}
		s.ended[c] = why
	}
	s.hub.hand(c)
	s.conns = append(s.conns, c)
	s.shard.work()
	return c
}

func to(raffleID int64) Subscription { return Subscription{RaffleID: raffleID} }

func socketOf(c *conn) *fakeSocket { return c.writer.(*fakeSocket) }

func (s *testShard) publish(u *odds.Update) {
	u.Delivery = &odds.Delivery{}
	s.tracked = append(s.tracked, u)
	if !s.hub.cfg.Cache.Put(u) {
		u.Life = s.hub.cfg.Cache.Newest(u.RaffleID).Life
	}
	s.hub.Publish(u)
}

// settle has the shard work until it has nothing to do.
func (s *testShard) settle() {
	for s.shard.work() || !s.shard.inbox.isEmpty() {
	}
}

func (s *testShard) pass(d time.Duration) {
	s.shard.now += d
	s.settle()
}

// grow gives a socket room, which it reports if it was full.
func (s *testShard) grow(c *conn, n int) {
	socketOf(c).room += n
	if c.blocked && !c.removed {
		s.shard.resume(c)
	}
}

// sent returns raffle and version of each update that a connection was sent, and
// fails if something else than whole frames was.
func (s *testShard) sent(c *conn) (got [][2]int64) {
	s.t.Helper()
	isComplete := !c.removed && len(c.rest) == 0
	rest, ok := bytes.CutPrefix(socketOf(c).taken, []byte(opening))
	if !ok && isComplete {
		s.t.Errorf("begins with %.20q", rest)
	}
	for block := range bytes.SplitAfterSeq(rest, []byte("\n\n")) {
		id, isUpdate := bytes.CutPrefix(block, []byte("id: "))
		id, _, _ = bytes.Cut(id, []byte("\n"))
		_, body, _ := bytes.Cut(block, []byte("\n"))
		raffleID, version, isOne := int64(0), int64(0), false
		odds.ParseIDs(string(id), func(r int64, seen odds.Seen) {
			if bytes.Equal(body, updateIn(seen.Epoch, r, seen.Version).Body) {
				raffleID, version, isOne = r, seen.Version, true
			}
		})
		switch {
		case !isUpdate: // a heartbeat, retry, or the torn end of a connection
		case !bytes.HasSuffix(block, []byte("\n\n")):
			if isComplete {
				s.t.Errorf("a frame was left torn: %q", block)
			}
		case !isOne:
			s.t.Errorf("frames are mixed: %q", block)
		default:
			got = append(got, [2]int64{raffleID, version})
		}
	}
	return got
}

// versions is sent for a connection with one subscription.
func (s *testShard) versions(c *conn) (versions []int64) {
	s.t.Helper()
	for _, sent := range s.sent(c) {
		versions = append(versions, sent[1])
	}
	return versions
}
