package outbox

import "time"

// throttle says until when a slot is throttled.
type throttle struct {
	slot  *slot
	until time.Time
}

// valid reports whether the slot is still throttled until that time.
func (t *throttle) valid() bool { return t.slot.throttledUntil.Equal(t.until) }

// conflates reports whether the conflation interval applies to m. A final state is
// worth a message of its own: nothing follows it, and viewers wait for it.
func (q *Queue) conflates(m *message) bool {
	return q.interval > 0 && !q.draining && !m.raffle.State.Ended()
}

// tooSoon reports whether m must wait because the raffle's last message has this age.
// A message from the future has another cause, a server whose clock was set back, and
// waiting for that to pass would hold the odds up.
func (q *Queue) tooSoon(m *message, age time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.conflates(m) && -q.interval < age && age < q.interval
}

// hold throttles a slot for the conflation interval.
func (q *Queue) hold(s *slot) {
	if q.interval == 0 || q.draining {
		return
	}
	s.throttledUntil = time.Now().Add(q.interval)
	q.throttled = append(q.throttled, throttle{s, s.throttledUntil})
	if len(q.throttled) == 1 {
		signal(q.throttle)
	}
}

// release schedules the slots whose interval has ended, and returns how long it is
// until the next one ends; false if none is throttled.
func (q *Queue) release() (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for len(q.throttled) > 0 && !q.throttled[0].until.After(now) {
		t := q.throttled[0]
		q.throttled = q.throttled[1:]
		if t.valid() {
			t.slot.throttledUntil = time.Time{}
			q.schedule(t.slot)
		}
	}
	if len(q.throttled) == 0 {
		return 0, false
	}
	return q.throttled[0].until.Sub(now), true
}
