package fanout

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

func TestShard_SlowClientGetsNewestAndDelaysNobody(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	slow, quick := s.connect(20, to(1)), s.connect(unlimited, to(1))
	for v := range int64(100) {
		s.publish(update(1, v+1))
		s.pass(interval)
		if got := s.versions(quick); got[len(got)-1] != v+1 {
			t.Fatalf("quick: %v", got)
		}
	}
	if got := s.hub.Stats().Blocked; got != 1 {
		t.Errorf("%d are blocked", got)
	}
	s.grow(slow, unlimited)
	s.settle()
	// The frame that had begun is completed first.
	expectVersions(t, s.versions(slow), 1, 100)
	if got := s.hub.Stats(); got.Blocked != 0 || got.Delivered != 102 {
		t.Errorf("%d are blocked, %d delivered", got.Blocked, got.Delivered)
	}
}

func TestShard_DropsClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	stalled, trickle := s.connect(20, to(1)), s.connect(20, to(1))
	s.publish(update(1, 1))
	s.settle()
	s.pass(30*time.Second - 200*time.Millisecond)
	if stalled.removed {
		t.Error("dropped before the write timeout")
	}
	s.grow(trickle, 1)
	s.pass(400 * time.Millisecond)
	if s.ended[stalled] != Stalled || !stalled.removed || trickle.removed {
		t.Errorf("stalled ended for %q, trickle removed: %t", s.ended[stalled], trickle.removed)
	}
	for range 4 {
		s.pass(20 * time.Second)
		s.grow(trickle, 1)
	}
	if trickle.removed {
		t.Errorf("trickle ended for %q", s.ended[trickle])
	}
}

// The write timeout may be shorter than the silence before a heartbeat.
func TestShard_DropsStalledClientBeforeHeartbeat(t *testing.T) {
	t.Parallel()
	s := newTestShard(t, func(c *Config) { c.WriteTimeout = 5 * time.Second })
	c := s.connect(20, to(1))
	s.publish(update(1, 1))
	s.settle()
	s.pass(5*time.Second - 1)
	if c.removed {
		t.Error("dropped before the write timeout")
	}
	s.pass(100 * time.Millisecond)
	if s.ended[c] != Stalled || !c.removed {
		t.Errorf("ended for %q, removed: %t", s.ended[c], c.removed)
	}
}

// heartbeats returns how many heartbeats a connection was sent.
func heartbeats(c *conn) int { return strings.Count(string(socketOf(c).taken), "event: heartbeat\n") }

func TestShard_HeartbeatBreaksSilence(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	c := s.connect(unlimited, to(1))
	s.pass(12*time.Second - 1)
	if n := heartbeats(c); n != 0 {
		t.Errorf("%d heartbeats are early", n)
	}
	s.pass(6 * time.Second)
	if n := heartbeats(c); n != 1 {
		t.Errorf("%d heartbeats after 18 s", n)
	}
	for v := range int64(60) { // an update breaks the silence as well
		s.publish(update(1, v+1))
		s.pass(time.Second)
	}
	if n := heartbeats(c); n != 1 {
		t.Errorf("%d heartbeats while updates came", n)
	}
}

func TestShard_EndsConnectionAfterLifetime(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	c := s.connect(unlimited, to(1), to(2))
	s.publish(update(1, 7))
	for range 24*60 - 1 {
		s.pass(time.Second)
	}
	if c.removed {
		t.Errorf("ended for %q before 80 %% of the lifetime", s.ended[c])
	}
	for range 12*60 + 1 {
		s.pass(time.Second)
	}
	if n := heartbeats(c); s.ended[c] != MaxLifetime || !c.removed || n < 70 || n > 180 {
		t.Errorf("ended for %q after %d heartbeats", s.ended[c], n)
	}
}

func TestShard_DrainEndsConnectionsOverWindow(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	const clients, window = 200, 20 * time.Second
	for range clients {
		s.connect(unlimited, to(1))
	}
	full := s.connect(5, to(1))
	s.shard.drain(window)
	s.pass(window / 2)
	if n := len(s.ended); n < clients/4 || n > clients*3/4 {
		t.Errorf("%d of %d ended in the first half", n, clients)
	}
	s.pass(window/2 + 200*time.Millisecond)
	retries := make(map[string]bool)
	for _, c := range s.conns {
		if s.ended[c] != GoingAway || !c.removed {
			t.Fatalf("ended for %q, removed: %t", s.ended[c], c.removed)
		}
		if _, retry, ok := strings.Cut(string(socketOf(c).taken), "retry: "); ok {
			retries[retry] = true
		} else if c != full {
			t.Error("a client was not told when to come back")
		}
	}
	if len(retries) < clients/2 {
		t.Errorf("%d different waits", len(retries))
	}
}

func TestShard_RemovesClientThatCannotBeWrittenTo(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	c, other := s.connect(unlimited, to(1)), s.connect(unlimited, to(1))
	socketOf(c).err = errors.New("connection reset")
	s.publish(update(1, 1))
	s.settle()
	if s.ended[c] != ClientGone || !c.removed {
		t.Errorf("ended for %q, removed: %t", s.ended[c], c.removed)
	}
	expectVersions(t, s.versions(other), 1)
}

// What was published before a connection's topic existed did not reach the topic, and
// what was published between the handler's look into the cache and the subscription
// reached it only if it existed.
func TestShard_NewSubscriberMissesNothing(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	s.publish(update(1, 1))
	first := s.open(unlimited, Stream{Subscriptions: []Subscription{to(1)}, Backlog: updates(1, 1, 1)})
	expectVersions(t, s.versions(first), 1)

	s.hub.cfg.Cache.Put(update(1, 2)) // not published yet
	second := s.open(unlimited, Stream{Subscriptions: []Subscription{to(1)}, Backlog: updates(1, 2, 2)})
	s.publish(update(1, 2))
	s.settle()
	third := s.connect(unlimited, Subscription{RaffleID: 1, LastSent: 1})
	s.pass(interval)
	expectVersions(t, s.versions(first), 1, 2)
	expectVersions(t, s.versions(second), 2)
	expectVersions(t, s.versions(third), 2)

	behind := s.connect(unlimited, Subscription{RaffleID: 2, LastSent: 3})
	s.hub.cfg.Cache.Put(update(3, 9))
	newTopic := s.connect(unlimited, Subscription{RaffleID: 3, LastSent: 8})
	expectVersions(t, s.versions(newTopic), 9)
	if len(s.versions(behind)) != 0 {
		t.Error("a raffle without odds was sent")
	}
}

func TestShard_SendsBacklogToSlowClientThenNewest(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	missed := updates(1, 11, 110)
	for _, u := range missed {
		s.publish(u)
	}
	s.pass(interval)
	c := s.open(3000, Stream{Subscriptions: []Subscription{{RaffleID: 1, LastSent: 10}}, Backlog: missed})
	for _, u := range updates(1, 111, 120) {
		s.publish(u)
		s.pass(interval)
	}
	if got := s.versions(c); len(got) < 5 || len(got) > 50 {
		t.Errorf("sent at once: %v", got)
	}
	s.grow(c, unlimited)
	var want []int64
	for _, u := range missed {
		want = append(want, u.Version)
	}
	expectVersions(t, s.versions(c), append(want, 120)...)
}

func TestShard_FinalBacklogEndsTheStream(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	last := update(1, 12)
	last.Final = true
	s.publish(last)
	c := s.open(unlimited, Stream{
		Subscriptions: []Subscription{{RaffleID: 1, LastSent: 10}}, Backlog: []*odds.Update{update(1, 11), last},
	})
	if s.ended[c] != Finished || !c.removed || !slices.Equal(s.versions(c), []int64{11, 12}) {
		t.Errorf("ended for %q, sent %v", s.ended[c], s.versions(c))
	}
}

// What comes into the inbox after the shard has emptied it, but before it sleeps, does not
// wake it, so it must look again.
func TestShard_DoesNotSleepWhileSomethingWaits(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	s.connect(unlimited, to(1))
	if d := s.shard.nextTimeout(false); d == 0 || !s.shard.asleep.Load() {
		t.Errorf("with nothing to do it sleeps for %v", d)
	}
	s.shard.asleep.Store(false)
	for what, ask := range map[string]func(){
		"an update":    func() { s.publish(update(1, 1)) },
		"a call":       func() { s.shard.do(func() {}) },
		"a signal":     func() { s.shard.signal(s.conns[0], isWritable) },
		"a connection": func() { s.hub.enter(); s.shard.add(s.conns[0]) },
	} {
		ask()
		if d := s.shard.nextTimeout(false); d != 0 {
			t.Errorf("with %s in the inbox it sleeps for %v", what, d)
		}
		s.shard.asleep.Store(false)
		s.shard.inbox.take(&s.shard.taken)
	}
}

func TestDelivery_ReportedOnceAllWereOffered(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	for range 2*chunk + 1 {
		s.connect(unlimited, to(1))
	}
	s.connect(5, to(1)) // blocked, from its opening on
	first, overtaken, conflated, last := update(1, 1), update(1, 2), update(1, 3), update(1, 4)
	s.publish(first)
	s.shard.work()
	if s.delivered[first] != 0 {
		t.Error("reported after a chunk")
	}
	s.settle()
	s.publish(overtaken)
	s.publish(conflated) // before the shard has taken the one before
	s.settle()
	s.publish(last) // while that waits for the end of the interval
	s.pass(interval)
	for _, tt := range []struct {
		update             *odds.Update
		times, connections int
	}{{first, 1, 2*chunk + 1}, {overtaken, 0, 0}, {conflated, 0, 0}, {last, 1, 2*chunk + 1}} {
		if n := tt.update.Delivery.Connections(); s.delivered[tt.update] != tt.times || n != tt.connections {
			t.Errorf("version %d: reported %d times, with %d connections", tt.update.Version, s.delivered[tt.update], n)
		}
	}
	nobody := update(2, 1)
	s.publish(nobody)
	if n := nobody.Delivery.Connections(); n != 0 || s.delivered[nobody] != 1 {
		t.Errorf("without subscribers: reported %d times, with %d connections", s.delivered[nobody], n)
	}
}

// A newer update takes over a pass that is under way.
func TestDelivery_OvertakenInMidPassIsNotReported(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	for range 3 * chunk {
		s.connect(unlimited, to(1))
	}
	first, second := update(1, 1), update(1, 2)
	s.publish(first)
	s.shard.work()
	s.publish(second)
	s.shard.now += interval
	s.settle()
	if s.delivered[second] != 0 {
		t.Error("reported although those who were visited first lack it")
	}
	s.pass(interval)
	n := second.Delivery.Connections()
	if s.delivered[first] != 0 || s.delivered[second] != 1 || n != 3*chunk {
		t.Errorf("first reported %d times, second %d times with %d connections", s.delivered[first], s.delivered[second], n)
	}
}

// A shard that is so busy that each update is overtaken still tells how old odds are.
func TestPassEnded_IsToldOfEveryPass(t *testing.T) {
	t.Parallel()
	for name, conflates := range map[string]time.Duration{"conflation": interval, "none": 0} {
		s := newTestShard(t, func(c *Config) { c.ConflationInterval = conflates })
		for range 3 * chunk {
			s.connect(unlimited, to(1))
		}
		var want []int64
		for version := int64(1); version < 10; version += 2 {
			s.publish(update(1, version))
			s.shard.work()
			s.publish(update(1, version+1)) // in mid-pass
			if len(s.passed) != len(want) {
				t.Fatalf("%s: told of a pass that has not ended", name)
			}
			s.settle()
			want = append(want, version)
			s.shard.now += conflates
			if conflates > 0 {
				s.settle() // a pass with what overtook
				want = append(want, version+1)
				s.shard.now += conflates
			}
		}
		if !slices.Equal(s.passed, want) {
			t.Errorf("%s: told of passes that began with %v, want %v", name, s.passed, want)
		}
	}
}

// Passes over nobody, and over clients that are blocked, say nothing.
func TestPassEnded_NeedsSomebodyWhoWasSentOdds(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	s.publish(update(1, 1))
	s.settle()
	s.connect(5, to(1))
	s.publish(update(1, 2))
	s.settle()
	if len(s.passed) > 0 {
		t.Errorf("told of passes that began with %v", s.passed)
	}
}

// The first subscriber may find an update in the cache before it is published.
func TestDelivery_FoundInCacheBeforePublished(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	u := update(1, 1)
	s.hub.cfg.Cache.Put(u)
	c := s.connect(unlimited, to(1))
	expectVersions(t, s.versions(c), 1)
	s.publish(u)
	s.settle()
	if n := u.Delivery.Connections(); s.delivered[u] != 1 || n != 1 {
		t.Errorf("reported %d times, with %d connections", s.delivered[u], n)
	}
	expectVersions(t, s.versions(c), 1)
}

func TestDelivery_EndsWhenSubscribersLeave(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	c := s.connect(unlimited, to(1))
	u, next := update(1, 1), update(1, 2)
	s.publish(u)
	s.shard.remove(c, ClientGone)
	s.settle()
	other := s.connect(unlimited, to(1))
	s.publish(next)
	s.settle()
	s.shard.remove(other, ClientGone)
	s.pass(interval)
	if s.delivered[u] != 1 || s.delivered[next] != 1 {
		t.Errorf("reported %d and %d times", s.delivered[u], s.delivered[next])
	}
}
