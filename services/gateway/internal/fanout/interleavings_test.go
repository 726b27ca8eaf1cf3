package fanout

import (
	"math/rand/v2"
	"testing"
	"time"
)

// FuzzShard_Interleavings does what each byte says, in any order, and checks what
// every connection was sent.
func FuzzShard_Interleavings(f *testing.F) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 0))
		script := make([]byte, 400)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		s := newTestShard(t)
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
				lastSent := max(0, versions[raffleID]-arg%5)
				s.open(int(arg)*40, Stream{
					Subscriptions: []Subscription{{RaffleID: raffleID, LastSent: lastSent}},
					Backlog:       updates(raffleID, lastSent+1, max(lastSent, versions[raffleID]-arg%2)),
				})
			case 3:
				s.connect(unlimited, Subscription{RaffleID: 1, LastSent: versions[1]}, to(4), to(2))
			case 4:
				if len(s.conns) > 0 {
					s.grow(s.conns[int(arg)%len(s.conns)], int(arg)*20)
				}
			case 5:
				if len(s.conns) > 0 {
					s.shard.remove(s.conns[int(arg)%len(s.conns)], ClientGone)
				}
			case 6:
				s.shard.now += time.Duration(arg) * time.Millisecond * 4
				s.shard.work()
			case 7:
				s.shard.work()
			}
		}
		s.check(versions)
	})
}

// check gives all sockets room, lets everything come to rest, and checks the whole.
func (s *testShard) check(versions map[int64]int64) {
	s.t.Helper()
	s.settle()
	for _, c := range s.conns {
		s.grow(c, unlimited)
	}
	s.pass(interval)
	s.pass(interval)
	open := 0
	for _, c := range s.conns {
		last := make(map[int64]int64)
		for _, sent := range s.sent(c) {
			if sent[1] <= last[sent[0]] {
				s.t.Errorf("raffle %d: version %d after %d", sent[0], sent[1], last[sent[0]])
			}
			last[sent[0]] = sent[1]
		}
		if c.removed {
			continue
		}
		open++
		for _, sub := range c.subs {
			if sub.LastSent < versions[sub.RaffleID] {
				s.t.Errorf("raffle %d: it has %d of %d", sub.RaffleID, sub.LastSent, versions[sub.RaffleID])
			}
		}
	}
	if s.shard.conns != open || s.shard.blocked != 0 || s.hub.Open() != open {
		s.t.Errorf("%d are open; counted are %d and %d, %d of them blocked", open, s.shard.conns, s.hub.Open(), s.shard.blocked)
	}
	for _, c := range s.conns {
		s.shard.remove(c, ClientGone)
	}
	if n := len(s.shard.inbox.topics); n > 0 {
		s.t.Errorf("%d topics are left", n)
	}
	s.pass(interval)
	for _, u := range s.tracked {
		newest := u.Version == versions[u.RaffleID]
		if n := s.delivered[u]; n > 1 || newest && n != 1 {
			s.t.Errorf("version %d of raffle %d (newest: %t) was reported %d times", u.Version, u.RaffleID, newest, n)
		}
	}
}
