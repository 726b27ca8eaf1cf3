package fanout

import (
	"math/rand/v2"
	"testing"
)

// TestSubscribers_PassVisitsAllUnderChurn adds and removes subscribers in the midst of
// passes, at random, and checks that a pass visits every subscriber that was there from
// its beginning to its end, and that it ends however many leave.
func TestSubscribers_PassVisitsAllUnderChurn(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		var s subscribers
		var all []*Subscription
		add := func() {
			sub := &Subscription{}
			s.add(nil, sub)
			all = append(all, sub)
		}
		for range random.IntN(20) {
			add()
		}
		for range 5 {
			s.startPass()
			owed := make(map[*Subscription]bool) // a visit
			for _, sub := range all {
				owed[sub] = true
			}
			visits, added, most := 0, 0, len(all)
			for s.todo > 0 && (visits <= 3 || random.IntN(30) > 0) { // else a newer pass begins
				switch random.IntN(4) {
				case 0:
					add()
					added++
				case 1, 2:
					i := random.IntN(len(all))
					s.remove(all[i])
					delete(owed, all[i])
					all[i] = all[len(all)-1]
					all = all[:len(all)-1]
				}
				if s.todo > 0 {
					delete(owed, s.visit().sub)
					visits++
				}
				check(t, &s, all)
			}
			if s.todo == 0 && len(owed) > 0 {
				t.Fatalf("seed %d: %d of %d were not visited", seed, len(owed), len(all))
			}
			if visits > most+added {
				t.Fatalf("seed %d: %d visits to %d subscribers and %d new ones", seed, visits, most, added)
			}
		}
	}
}

// check fails unless s has these subscribers.
func check(t *testing.T, s *subscribers, all []*Subscription) {
	t.Helper()
	if len(s.list) != len(all) || s.todo > len(all) || s.todo < 0 {
		t.Fatalf("%d entries and %d to visit, of %d", len(s.list), s.todo, len(all))
	}
	for i, entry := range s.list {
		if int(entry.sub.index) != i {
			t.Fatalf("entry %d has index %d", i, entry.sub.index)
		}
	}
	for _, sub := range all {
		if s.list[sub.index].sub != sub {
			t.Fatalf("entry %d is another one", sub.index)
		}
	}
}

// With updates that come faster than a pass takes, the last subscribers have their
// turn as well.
func TestSubscribers_NewPassGoesOnWhereTheLastWas(t *testing.T) {
	t.Parallel()
	var s subscribers
	for range 10 {
		s.add(nil, &Subscription{})
	}
	visits := make(map[*Subscription]int)
	for range 10 { // passes, of which each is cut short
		s.startPass()
		for range 3 {
			visits[s.visit().sub]++
		}
	}
	for sub, n := range visits {
		if n != 3 {
			t.Errorf("entry %d had %d visits", sub.index, n)
		}
	}
	if len(visits) != 10 {
		t.Errorf("%d had a visit", len(visits))
	}
}

// A pass used to start anew with each client that left, so that with many leaving it
// did not end, and was not reported, for as long as they did.
func TestShard_PassEndsWhileClientsLeave(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	const clients = 10 * chunk
	for range clients {
		s.connect(unlimited, to(1))
	}
	u := update(1, 1)
	s.publish(u)
	turns := 0
	for busy := true; busy; turns++ {
		busy = s.shard.work()
		for i := range 10 {
			s.shard.remove(s.conns[turns*10+i], ClientGone)
		}
	}
	if s.delivered[u] != 1 || turns > clients/chunk+1 {
		t.Errorf("reported %d times after %d turns", s.delivered[u], turns)
	}
	if n := u.Delivery.Connections(); n < clients-10*turns || n > clients {
		t.Errorf("%d connections were sent it", n)
	}
	for _, c := range s.conns {
		if !c.removed {
			expectVersions(t, s.versions(c), 1)
		}
	}
}
