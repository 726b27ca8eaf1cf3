package fanout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

func watching(raffleID int64) Watch { return Watch{RaffleID: raffleID} }

func TestTheFirstGoesOutAtOnceAndTheLastAlways(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	c := s.connect(1<<20, watching(1))
	for v := range int64(5) {
		s.publish(update(1, v+1))
		s.settle()
	}
	if got := s.frames(c); !slices.Equal(got, [][2]int64{{1, 1}}) {
		t.Errorf("at once: %v", got)
	}
	s.pass(spacing - 1)
	if got := s.frames(c); len(got) != 1 {
		t.Errorf("too early: %v", got)
	}
	s.pass(1)
	if got := s.frames(c); !slices.Equal(got, [][2]int64{{1, 1}, {1, 5}}) {
		t.Errorf("after the spacing: %v", got)
	}
	if got := s.hub.Stats().Delivered; got != 2 {
		t.Errorf("%d are counted", got)
	}
}

func TestASlowClientGetsTheNewestAndDelaysNobody(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	slow, quick := s.connect(20, watching(1)), s.connect(1<<20, watching(1))
	for v := range int64(100) {
		s.publish(update(1, v+1))
		s.pass(spacing)
		if got := s.frames(quick); got[len(got)-1] != [2]int64{1, v + 1} {
			t.Fatalf("quick: %v", got)
		}
	}
	if got := s.hub.Stats().Behind; got != 1 {
		t.Errorf("%d are behind", got)
	}
	s.grow(slow, 1<<20)
	// The frame that had begun is finished first.
	if got := s.frames(slow); !slices.Equal(got, [][2]int64{{1, 1}, {1, 100}}) {
		t.Errorf("slow: %v", got)
	}
}

func TestAClientThatTakesNothingIsDropped(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	stalled, trickle := s.connect(20, watching(1)), s.connect(20, watching(1))
	s.publish(update(1, 1))
	s.settle()
	for range 4 {
		s.pass(10 * time.Second)
		s.grow(trickle, 1)
	}
	if s.ended[stalled] != Stalled || trickle.gone {
		t.Errorf("stalled %q, trickle %q", s.ended[stalled], s.ended[trickle])
	}
}

func TestHeartbeatsLifetimeAndLeave(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	c := s.connect(1<<20, watching(1))
	beats := func() int { return strings.Count(string(c.out.(*room).taken), "event: heartbeat\n") }
	s.pass(12*time.Second - 1)
	if beats() != 0 {
		t.Error("a heartbeat is early")
	}
	s.pass(6 * time.Second)
	if beats() != 1 {
		t.Errorf("%d heartbeats after 18 s", beats())
	}
	// What is sent breaks the silence as well.
	for v := range int64(60) {
		s.publish(update(1, v+1))
		s.pass(time.Second)
	}
	if beats() != 1 {
		t.Errorf("%d heartbeats while updates came", beats())
	}
	for range 35*60 + 1 {
		s.pass(time.Second)
	}
	if s.ended[c] != LivedOut || beats() < 70 || beats() > 180 {
		t.Errorf("ended %q after %d heartbeats", s.ended[c], beats())
	}
	away := s.connect(1<<20, watching(1))
	s.shard.leave(20 * time.Second)
	s.pass(20*time.Second + 200*time.Millisecond)
	if taken := string(away.out.(*room).taken); s.ended[away] != SentAway || !strings.Contains(taken, "retry: ") {
		t.Errorf("ended %q, sent %q", s.ended[away], taken)
	}
}

// Deadlines are found wherever they lie, and whatever moves them.
func TestWheel(t *testing.T) {
	t.Parallel()
	var w wheel
	w.init(10 * time.Millisecond)
	due := make(map[*conn]time.Duration)
	for i := range 3000 {
		c := &conn{}
		due[c] = time.Duration(i) * 7 * time.Millisecond
		w.add(c, due[c])
		if i%3 == 0 {
			due[c] /= 2
			w.sooner(c, due[c])
		}
		if i%5 == 0 {
			w.remove(c)
			delete(due, c)
		}
	}
	now := time.Duration(0)
	for step := range 4000 {
		if step%100 == 99 {
			now += 3 * time.Second // it was kept from its work
		} else {
			now += 6 * time.Millisecond
		}
		w.advance(now, func(c *conn) {
			switch at, ok := due[c]; {
			case !ok:
				t.Error("a removed one")
			case at > now && now > time.Duration(step)*6*time.Millisecond+10*time.Second:
				t.Errorf("due at %v, seen at %v", at, now)
			case at <= now:
				delete(due, c)
			default: // beyond what the slots cover: looked at on the way
				w.add(c, at)
			}
		})
		for c, at := range due {
			if at+20*time.Millisecond < now {
				t.Fatalf("due at %v (tick %d), not seen at %v (tick %d)", at, c.due, now, w.at)
			}
		}
	}
	if len(due) > 0 {
		t.Errorf("%d were never seen", len(due))
	}
}

func TestAnUpdateArrivesOnceAllWereOfferedIt(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for range 2*chunk + 1 {
		s.connect(1<<20, watching(1))
	}
	s.connect(5, watching(1)) // full, from its opening on
	first, overtaken, held, last := update(1, 1), update(1, 2), update(1, 3), update(1, 4)
	s.publish(first)
	s.turn()
	if s.arrived[first] != 0 {
		t.Error("arrived after a chunk")
	}
	s.settle()
	s.publish(overtaken)
	s.publish(held) // before the shard has looked at the one before
	s.settle()
	s.publish(last) // while that waits for the spacing
	s.pass(spacing)
	for _, c := range []struct {
		update   *odds.Update
		written  int
		complete bool
	}{{first, 2*chunk + 1, true}, {overtaken, 0, false}, {held, 0, false}, {last, 2*chunk + 1, true}} {
		if n, complete := c.update.Trip.Written(); n != c.written || complete != c.complete || s.arrived[c.update] != 1 {
			t.Errorf("version %d: arrived %d times, at %d, complete %t", c.update.Version, s.arrived[c.update], n, complete)
		}
	}
	nobody := update(2, 1)
	s.publish(nobody)
	if n, _ := nobody.Trip.Written(); n != 0 || s.arrived[nobody] != 1 {
		t.Error("an update that nobody watches has not arrived")
	}
}
