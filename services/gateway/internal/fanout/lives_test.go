package fanout

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// FuzzShard_Lives does what each byte says, in any order, with raffles that are replaced
// by others with the same id, and checks what every connection was sent: a reset before
// the first odds of another life, rising versions within a life, and the newest in the end.
func FuzzShard_Lives(f *testing.F) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 400)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		s := &livesShard{testShard: newTestShard(t), newest: make(map[int64]*odds.Update), begunWith: make(map[*conn]map[int64]odds.Seen)}
		for _, b := range script {
			s.do(b%8, int64(b/8))
		}
		s.checkLives()
	})
}

// livesShard is a shard whose raffles have lives.
type livesShard struct {
	*testShard
	newest    map[int64]*odds.Update
	begunWith map[*conn]map[int64]odds.Seen // what clients had when they came
}

// do takes one step; arg is 0 to 31.
func (s *livesShard) do(step byte, arg int64) {
	raffleID := 1 + arg%3
	switch step {
	case 0, 1, 2:
		s.next(raffleID, step == 2)
	case 3:
		s.resume(raffleID, arg)
	case 4:
		s.begin(s.connect(unlimited, to(1), to(2), to(3)), nil)
	case 5:
		if len(s.conns) > 0 {
			s.grow(s.conns[int(arg)%len(s.conns)], int(arg)*20)
		}
	case 6:
		s.shard.now += time.Duration(arg) * time.Millisecond * 4
		s.shard.work()
	case 7:
		s.shard.work()
	}
}

// next publishes the next version of a raffle, or the first of its next life.
func (s *livesShard) next(raffleID int64, again bool) {
	epoch, version := "a", int64(1)
	if u := s.newest[raffleID]; u != nil && again && u.Epoch != "z" {
		epoch = string(rune(u.Epoch[0] + 1))
	} else if u != nil {
		epoch, version = u.Epoch, u.Version+1
	}
	u := updateIn(epoch, raffleID, version)
	s.newest[raffleID] = u
	s.publish(u)
}

// resume adds a client that has seen something of the raffle's life, or nothing.
func (s *livesShard) resume(raffleID, arg int64) {
	u := s.newest[raffleID]
	if u == nil || arg%2 == 0 {
		s.begin(s.connect(int(arg)*40, to(raffleID)), nil)
		return
	}
	lastSent := max(1, u.Version-arg%5)
	var missed []*odds.Update
	for v := lastSent + 1; v <= u.Version; v++ {
		missed = append(missed, updateIn(u.Epoch, raffleID, v))
	}
	c := s.open(int(arg)*40, Stream{Subscriptions: []Subscription{{RaffleID: raffleID, LastSent: lastSent}}, Backlog: missed})
	s.begin(c, map[int64]odds.Seen{raffleID: {Epoch: u.Epoch, Version: lastSent}})
}

func (s *livesShard) begin(c *conn, has map[int64]odds.Seen) { s.begunWith[c] = has }

// checkLives gives all sockets room, lets everything come to rest, and checks the whole.
func (s *livesShard) checkLives() {
	s.settle()
	for _, c := range s.conns {
		s.grow(c, unlimited)
	}
	s.pass(interval)
	s.pass(interval)
	for _, c := range s.conns {
		epochs, versions := make(map[int64]string), make(map[int64]int64)
		for id, has := range s.begunWith[c] {
			epochs[id], versions[id] = has.Epoch, has.Version
		}
		wasReset := make(map[int64]bool)
		for _, e := range s.events(c) {
			switch before := epochs[e.raffleID]; {
			case e.version == 0:
				wasReset[e.raffleID] = true
				continue
			case before != "" && e.epoch < before, before == e.epoch && e.version <= versions[e.raffleID]:
				s.t.Errorf("raffle %d: %s:%d after %s:%d", e.raffleID, e.epoch, e.version, before, versions[e.raffleID])
			case before != "" && e.epoch != before && !wasReset[e.raffleID]:
				s.t.Errorf("raffle %d: %s:%d after the life %s without a reset", e.raffleID, e.epoch, e.version, before)
			}
			epochs[e.raffleID], versions[e.raffleID], wasReset[e.raffleID] = e.epoch, e.version, false
		}
		if c.removed {
			continue
		}
		for _, sub := range c.subs {
			newest := s.newest[sub.RaffleID]
			if newest != nil && (sub.LastSent != newest.Version || epochs[sub.RaffleID] != newest.Epoch) {
				s.t.Errorf("raffle %d: it has %s:%d of %s:%d", sub.RaffleID, epochs[sub.RaffleID], sub.LastSent, newest.Epoch, newest.Version)
			}
		}
	}
}

// sentEvent is an update, or a reset, which has version 0.
type sentEvent struct {
	raffleID int64
	epoch    string
	version  int64
}

// events returns what a connection was sent.
func (s *livesShard) events(c *conn) (events []sentEvent) {
	for block := range strings.SplitAfterSeq(received(c), "\n\n") {
		for id := int64(1); id <= 3; id++ {
			if block == resetOf(id, ResetAnotherLife) {
				events = append(events, sentEvent{raffleID: id})
			}
		}
		ids, body, _ := strings.Cut(block, "\n")
		odds.ParseIDs(strings.TrimPrefix(ids, "id: "), func(id int64, seen odds.Seen) {
			if bytes.Equal([]byte(body), updateIn(seen.Epoch, id, seen.Version).Body) {
				events = append(events, sentEvent{id, seen.Epoch, seen.Version})
			}
		})
	}
	return events
}
