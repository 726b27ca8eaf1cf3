package fanout

import (
	"testing"
	"time"
)

// Deadlines are met wherever they are, and whatever moves them.
func TestWheel_ExpiresEachInTime(t *testing.T) {
	t.Parallel()
	var w wheel
	const tick = 10 * time.Millisecond
	w.init(tick)
	due, added := make(map[*conn]time.Duration), make(map[*conn]time.Duration)
	for i := range 3000 {
		c := &conn{}
		due[c] = time.Duration(i) * 7 * time.Millisecond
		w.add(c, due[c])
		if i%3 == 0 {
			due[c] /= 2
			w.reschedule(c, due[c])
		}
		if i%5 == 0 {
			w.remove(c)
			delete(due, c)
		}
	}
	now := time.Duration(0)
	for step := range 4000 {
		if step%100 == 99 {
			now += 3 * time.Second // the shard was kept from its work
		} else {
			now += 6 * time.Millisecond
		}
		w.advance(now, func(c *conn) {
			switch at, ok := due[c]; {
			case !ok:
				t.Error("one that was removed has expired")
			case at <= now:
				delete(due, c)
			case at < added[c]+(slots-2)*tick:
				t.Errorf("added at %v, due at %v, expired at %v", added[c], at, now)
			default: // beyond what the slots cover: expires on the way
				added[c] = now
				w.add(c, at)
			}
		})
		for c, at := range due {
			if at+2*tick < now {
				t.Fatalf("due at %v (tick %d), not expired at %v (tick %d)", at, c.due, now, w.at)
			}
		}
		if next := w.next(); len(due) > 0 && next > now+slots*tick {
			t.Fatalf("at %v the next is due at %v", now, next)
		}
	}
	if len(due) > 0 {
		t.Errorf("%d have not expired", len(due))
	}
}
