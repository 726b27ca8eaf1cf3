package fanout

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

const spacing = 50 * time.Millisecond

func testConfig() Config {
	return Config{
		Spacing: spacing, Heartbeat: 15 * time.Second, Lifetime: 30 * time.Minute, RetryMin: time.Second, RetryMax: 5 * time.Second,
		WriteTimeout: 30 * time.Second, Newest: func(int64) *odds.Update { return nil },
	}
}

func update(raffleID, version int64) *odds.Update {
	u := &odds.Update{RaffleID: raffleID, Version: version}
	id := odds.ID(raffleID, version)
	u.Frame = sse.AppendEvent(nil, id, odds.Event, bytes.Repeat([]byte(id), 10))
	return u
}

// room is a socket that takes as many bytes as it has room for.
type room struct {
	t     *testing.T
	left  int
	taken []byte
	ended bool
}

func (r *room) write(b []byte) (int, error) {
	if r.ended {
		r.t.Error("written after the end")
	}
	n := min(r.left, len(b))
	r.left -= n
	r.taken = append(r.taken, b[:n]...)
	return n, nil
}

func (r *room) close() {
	if r.ended {
		r.t.Error("closed twice")
	}
	r.ended = true
}

// stage is a shard that a test moves by hand, in a time of its own.
type stage struct {
	t      *testing.T
	hub    *Hub
	shard  *shard
	newest map[int64]*odds.Update
	conns  []*conn
	ended  map[*conn]Reason
	// published with a trip, and how often each has arrived.
	published []*odds.Update
	arrived   map[*odds.Update]int
}

func newStage(t *testing.T, change func(*Config)) *stage {
	t.Helper()
	s := &stage{t: t, newest: make(map[int64]*odds.Update), ended: make(map[*conn]Reason), arrived: make(map[*odds.Update]int)}
	cfg := testConfig()
	cfg.Ordinary, cfg.Shards = true, 1
	cfg.Arrived = func(u *odds.Update) { s.arrived[u]++ }
	cfg.Newest = func(id int64) *odds.Update { return s.newest[id] }
	if change != nil {
		change(&cfg)
	}
	hub, err := NewHub(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.hub, s.shard = hub, hub.shards[0]
	return s
}

// connect adds a connection that has these versions, and room for so many bytes.
func (s *stage) connect(left int, watches ...Watch) *conn {
	s.t.Helper()
	if !s.hub.enter() {
		s.t.Fatal("refused")
	}
	c := s.hub.newConn(Subscription{Watches: watches, Opening: []byte(": opening\n\n")})
	c.endsAt += s.shard.now // which the test has moved
	c.out = &room{t: s.t, left: left}
	c.done = func(why Reason) {
		if _, twice := s.ended[c]; twice {
			s.t.Error("done twice")
		}
		s.ended[c] = why
	}
	s.hub.hand(c)
	s.conns = append(s.conns, c)
	s.turn()
	return c
}

func (s *stage) publish(u *odds.Update) {
	u.Trip = &odds.Trip{}
	s.published = append(s.published, u)
	s.newest[u.RaffleID] = u
	s.hub.Publish(u)
}

// turn is one turn of the shard's loop, without the wait; it tells whether there
// is more to do at once.
func (s *stage) turn() bool {
	s.shard.receive()
	s.shard.cool()
	s.shard.wheel.advance(s.shard.now, s.shard.look)
	busy := s.shard.deliver()
	s.shard.report()
	return busy
}

// settle goes on until there is nothing to do.
func (s *stage) settle() {
	for s.turn() || s.shard.inbox.any() {
	}
}

func (s *stage) pass(d time.Duration) {
	s.shard.now += d
	s.settle()
}

// grow gives a connection room, which its socket reports where it was full.
func (s *stage) grow(c *conn, n int) {
	c.out.(*room).left += n
	if c.full && !c.gone {
		s.shard.writable(c)
	}
}

// frames returns raffle and version of each update that a connection was sent,
// and fails where something else than whole frames came.
func (s *stage) frames(c *conn) (got [][2]int64) {
	s.t.Helper()
	rest, ok := bytes.CutPrefix(c.out.(*room).taken, []byte(": opening\n\n"))
	if !ok && len(c.rest) == 0 && !c.gone {
		s.t.Errorf("begins with %.20q", rest)
	}
	for block := range bytes.SplitAfterSeq(rest, []byte("\n\n")) {
		id, isUpdate := bytes.CutPrefix(block, []byte("id: "))
		id, _, _ = bytes.Cut(id, []byte("\n"))
		raffleID, version, known := odds.ParseID(string(id))
		switch {
		case !isUpdate: // a heartbeat, retry, or the torn end of a connection
		case !bytes.HasSuffix(block, []byte("\n\n")):
			if !c.gone && len(c.rest) == 0 {
				s.t.Errorf("a frame was left torn: %q", block)
			}
		case !known:
		case !bytes.Equal(block, update(raffleID, version).Frame):
			s.t.Errorf("frames are mixed: %q", block)
		default:
			got = append(got, [2]int64{raffleID, version})
		}
	}
	return got
}

// FuzzInterleavings does what each byte says, in any order, and checks what every
// connection was sent.
func FuzzInterleavings(f *testing.F) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		script := make([]byte, 400)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		s := newStage(t, nil)
		versions := make(map[int64]int64)
		for _, b := range script {
			do, arg := b%8, int64(b/8) // 0 to 31
			raffleID := 1 + arg%4
			switch do {
			case 0, 1:
				versions[raffleID]++
				u := update(raffleID, versions[raffleID])
				u.Final = arg == 31 && raffleID == 4
				s.publish(u)
			case 2:
				s.connect(int(arg)*40, Watch{RaffleID: raffleID, Seen: max(0, versions[raffleID]-arg%3)})
			case 3:
				s.connect(1<<30, Watch{RaffleID: 1, Seen: versions[1]}, Watch{RaffleID: 4}, Watch{RaffleID: 2})
			case 4:
				if len(s.conns) > 0 {
					s.grow(s.conns[int(arg)%len(s.conns)], int(arg)*20)
				}
			case 5:
				if len(s.conns) > 0 {
					s.shard.remove(s.conns[int(arg)%len(s.conns)], ClientEnd)
				}
			case 6:
				s.shard.now += time.Duration(arg) * time.Millisecond * 4
				s.turn()
			case 7:
				s.turn()
			}
		}
		s.check(versions)
	})
}

// check lets everything come to rest with room for all, and looks at the whole.
func (s *stage) check(versions map[int64]int64) {
	s.t.Helper()
	s.settle()
	for _, c := range s.conns {
		s.grow(c, 1<<30)
	}
	s.pass(spacing)
	s.pass(spacing)
	open := 0
	for _, c := range s.conns {
		last := make(map[int64]int64)
		for _, f := range s.frames(c) {
			if f[1] <= last[f[0]] {
				s.t.Errorf("raffle %d: version %d after %d", f[0], f[1], last[f[0]])
			}
			last[f[0]] = f[1]
		}
		if c.gone {
			continue
		}
		open++
		for _, w := range c.watches {
			if w.seen < versions[w.raffle] {
				s.t.Errorf("raffle %d: it has %d of %d", w.raffle, w.seen, versions[w.raffle])
			}
		}
	}
	if s.shard.conns != open || s.shard.full != 0 || s.hub.open != open {
		s.t.Errorf("%d are open, it counts %d and %d, %d of them full", open, s.shard.conns, s.hub.open, s.shard.full)
	}
	for _, c := range s.conns {
		s.shard.remove(c, ClientEnd)
	}
	if n := len(s.shard.inbox.topics); n > 0 {
		s.t.Errorf("%d topics are left", n)
	}
	s.pass(spacing)
	for _, u := range s.published {
		if s.arrived[u] != 1 {
			s.t.Errorf("version %d of raffle %d arrived %d times", u.Version, u.RaffleID, s.arrived[u])
		}
	}
}
