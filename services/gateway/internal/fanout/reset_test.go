package fanout

import (
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// received returns what a socket has taken after the opening.
func received(c *conn) string { return strings.TrimPrefix(string(socketOf(c).taken), opening) }

func resetOf(raffleID int64, why Reset) string { return string(appendReset(nil, raffleID, why)) }

func expectTaken(t *testing.T, c *conn, want ...string) {
	t.Helper()
	if got := received(c); got != strings.Join(want, "") {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestShard_AnotherLifeIsSentAfterReset(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	one, several := s.connect(unlimited, to(1)), s.connect(unlimited, to(1), to(2))
	s.publish(update(1, 50))
	s.publish(update(2, 3))
	s.pass(interval)
	first := updateIn("f", 1, 1)
	s.publish(first)
	s.pass(interval)
	s.publish(update(2, 4))
	s.publish(updateIn("f", 1, 2))
	s.pass(interval)
	expectTaken(t, one, string(update(1, 50).Frame), resetOf(1, ResetAnotherLife), string(first.Frame), string(updateIn("f", 1, 2).Frame))
	got := received(several)
	want := resetOf(1, ResetAnotherLife) + withIDs(first, "1:f:1,2:e:3")
	if !strings.Contains(got, want) || strings.Count(got, "event: reset") != 1 || strings.Contains(got, "1:e:50,2:e:4") {
		t.Errorf("sent %q, want %q", got, want)
	}
}

// A socket that takes little must get the reset and the update as a whole.
func TestShard_ResetIsNotTorn(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	c := s.connect(unlimited, to(1))
	s.publish(update(1, 50))
	s.settle()
	socketOf(c).room = 10
	s.pass(interval)
	s.publish(updateIn("f", 1, 1))
	s.settle()
	for range 200 {
		s.grow(c, 7)
	}
	expectTaken(t, c, string(update(1, 50).Frame), resetOf(1, ResetAnotherLife), string(updateIn("f", 1, 1).Frame))
}

func TestShard_RemovalEndsStreamOfRaffle(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	one, several := s.connect(unlimited, to(1)), s.connect(unlimited, to(1), to(2))
	s.publish(update(1, 5))
	s.publish(update(2, 1))
	s.pass(interval)
	last := update(1, 6)
	last.Final, last.Removed = true, true
	s.publish(last)
	s.pass(interval)
	if !strings.HasSuffix(received(one), string(last.Frame)) || s.ended[one] != Finished || !one.removed {
		t.Errorf("removed %t, sent %q", one.removed, received(one))
	}
	if !strings.HasSuffix(received(several), withIDs(last, "1:e:6,2:e:1")) || several.removed {
		t.Errorf("removed %t, sent %q", several.removed, received(several))
	}
	s.pass(interval)
	s.publish(updateIn("f", 1, 1))
	s.pass(interval)
	if !strings.HasSuffix(received(several), resetOf(1, ResetAnotherLife)+withIDs(updateIn("f", 1, 1), "1:f:1,2:e:1")) || several.removed {
		t.Errorf("removed %t, sent %q", several.removed, received(several))
	}
}

// A raffle that is removed while a client is being served must not leave it waiting.
func TestShard_EndsStreamOfRaffleThatWasRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	c := s.open(unlimited, Stream{Subscriptions: []Subscription{to(1)}, Backlog: updates(1, 5, 5)})
	s.pass(time.Second)
	if !c.removed {
		t.Error("it goes on")
	}
	expectTaken(t, c, string(update(1, 5).Frame))
}

func TestShard_CorrectsClientThatStaysAhead(t *testing.T) {
	t.Parallel()
	for name, published := range map[string]int64{"it stays": 0, "the others come level": 9, "they come close": 8, "they pass it": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestShard(t)
			for id := range int64(2) {
				s.publish(update(id+1, 5))
			}
			c := s.connect(unlimited, Subscription{RaffleID: 1, LastSent: 9})
			several := s.connect(unlimited, Subscription{RaffleID: 1, LastSent: 9}, to(2))
			if published > 0 {
				s.publish(update(1, published))
			}
			for v := range int64(30) { // a raffle that is never silent puts off heartbeats
				s.pass(400 * time.Millisecond)
				s.publish(update(2, v+6))
			}
			if strings.Contains(received(c)+received(several), "reset") {
				t.Error("reset before the first heartbeat")
			}
			for v := range int64(20) {
				s.pass(400 * time.Millisecond)
				s.publish(update(2, v+36))
			}
			newest := s.hub.cfg.Cache.Newest(1)
			reset := resetOf(1, ResetAhead) + string(newest.Frame)
			if got, want := strings.Count(received(c), reset), published < 9; (got == 1) != want || got > 1 {
				t.Errorf("sent %q", received(c))
			}
			if got, want := strings.Count(received(several), resetOf(1, ResetAhead)+"id: "+odds.ID(newest)+",2:e:"), published < 9; (got == 1) != want || got > 1 {
				t.Errorf("several: sent %q", received(several))
			}
			s.publish(update(1, 11))
			s.settle()
			if !strings.HasSuffix(received(c), string(update(1, 11).Frame)) {
				t.Errorf("sent %q", received(c))
			}
		})
	}
}

func TestShard_ResetThatWasAskedFor(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	s.publish(update(1, 5))
	c := s.connect(unlimited, Subscription{RaffleID: 1, Reset: ResetNotNamed})
	s.publish(update(1, 6))
	s.pass(interval)
	expectTaken(t, c, resetOf(1, ResetNotNamed), string(update(1, 5).Frame), string(update(1, 6).Frame))
}

// A shard uses the memory of a frame for other sockets, too.
func TestConn_KeepsOwnCopyOfWhatSocketDidNotTake(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fd               int32
		isShared, copies bool
	}{"encoded for a socket": {5, false, true}, "shared": {5, true, false}, "encoded for a handler": {-1, false, false}} {
		c, b := &conn{fd: tt.fd}, []byte("rest")
		c.keep(b, tt.isShared)
		if string(c.rest) != "rest" || (&c.rest[0] != &b[0]) != tt.copies {
			t.Errorf("%s: copied %t", name, !tt.copies)
		}
	}
}

// Until a client is sent the new life of a raffle, ids must not give the version of the
// old one the new one's epoch.
func TestConn_IDsLeaveOutRaffleWhoseLifeHasChanged(t *testing.T) {
	t.Parallel()
	c := testConn(t, unlimited, 1, 2)
	c.subs[0].LastSent, c.subs[0].Life = 50, 1
	next := updateIn("f", 1, 1)
	next.Life = 2
	c.subs[0].topic.conflation.current = next
	if got := string(c.appendIDs(nil, update(2, 3))); got != "2:e:3" {
		t.Errorf("ids %q", got)
	}
}
