package outbox

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Two transactions of a raffle may be enqueued in another order than they were committed
// in, and the newer version may be in flight by then.
func TestQueue_KeepsWhatIsInFlightFromAnOlderVersion(t *testing.T) {
	t.Parallel()
	for name, putBack := range map[string]func(*Queue, *slot, *message){"retry": (*Queue).retry, "step back": (*Queue).stepBack} {
		q := NewQueue(0)
		q.Enqueue(t.Context(), version(1, 8))
		slot, msg, _ := q.next()
		q.Enqueue(t.Context(), version(1, 6))
		putBack(q, slot, msg)
		if slot, msg, _ = q.next(); msg.raffle.Version != 8 || q.Pending() != 1 {
			t.Fatalf("%s: version %d is next, %d are pending", name, msg.raffle.Version, q.Pending())
		}
		q.Enqueue(t.Context(), version(1, 9))
		if putBack(q, slot, msg); slot.waiting.raffle.Version != 9 {
			t.Errorf("%s: version %d waits", name, slot.waiting.raffle.Version)
		}
	}
}

func TestQueue_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	q := NewQueue(0)
	for _, v := range []int64{2, 5, 5, 3, 4} {
		q.Enqueue(t.Context(), version(1, v))
	}
	q.Enqueue(t.Context(), version(2, 1))
	if q.Pending() != 2 {
		t.Errorf("%d raffles are pending", q.Pending())
	}
	s, m, _ := q.next()
	if m.raffle.ID != 1 || m.raffle.Version != 5 {
		t.Errorf("raffle %d version %d is next", m.raffle.ID, m.raffle.Version)
	}
	q.Enqueue(t.Context(), version(1, 6))
	if s2, m2, _ := q.next(); s2 == s || m2.raffle.ID != 2 {
		t.Errorf("raffle %d is next while raffle 1 is in flight", m2.raffle.ID)
	}
	if none, _, _ := q.next(); none != nil {
		t.Errorf("raffle %d is next while both are in flight", none.id)
	}
	q.done(s, Message{Seq: 1, Version: 6}) // another process has published version 6
	if none, _, _ := q.next(); none != nil || q.Pending() != 1 {
		t.Errorf("%v is next, %d raffles are pending", none, q.Pending())
	}
}

func TestQueue_DrainEndsTheConflation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, time.Minute)
		b.stream.latency = 10 * time.Millisecond
		b.startRelay(t)
		if err := b.queue.Drain(t.Context()); err != nil {
			t.Errorf("nothing to publish: %v", err)
		}
		b = setup(t, time.Minute)
		b.stream.put(t, version(3, 1))
		b.stream.latency = 10 * time.Millisecond
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1), version(2, 1))
		wait(t, time.Second)
		b.queue.Enqueue(t.Context(), version(1, 2)) // throttled
		synctest.Wait()
		b.stream.put(t, version(2, 2))              // of another process
		b.queue.Enqueue(t.Context(), version(2, 3)) // throttled
		b.stream.wantVersions(t, 1, 1)
		began := time.Now()
		if err := b.queue.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 2*b.stream.latency { // raffle 2 conflicts first
			t.Errorf("drained after %v", took)
		}
		b.stream.wantVersions(t, 1, 1, 2)
		b.stream.wantVersions(t, 2, 1, 2, 3)
		b.queue.Enqueue(t.Context(), version(1, 3)) // nothing waits any more
		wait(t, b.stream.latency)
		b.stream.wantVersions(t, 1, 1, 2, 3)
	})
}

func TestQueue_DrainSaysWhatRemains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.fail(errors.New("NATS is unavailable"))
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1), version(2, 1))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		err := b.queue.Drain(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if want := "the newest odds of 2 raffles are not published: "; err == nil || err.Error()[:len(want)] != want {
			t.Errorf("%v", err)
		}
	})
}

func TestQueue_DrainMayBeCalledByMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.latency = 10 * time.Millisecond
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1))
		var draining sync.WaitGroup
		for range 3 {
			draining.Go(func() {
				if err := b.queue.Drain(t.Context()); err != nil || len(b.stream.stored(1)) != 1 {
					t.Errorf("drained with %v in the stream: %v", b.stream.stored(1), err)
				}
			})
		}
		draining.Wait()
	})
}

// remembered returns for how many raffles the queue needs memory.
func (q *Queue) remembered() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return max(len(q.slots), q.idle.Len(), len(q.throttled))
}

func TestQueue_ForgetsIdleRaffles(t *testing.T) {
	t.Parallel()
	for name, interval := range map[string]time.Duration{"conflated": testInterval, "not conflated": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, interval)
				b.queue.maxIdle = 2
				b.startRelay(t)
				for id := int64(1); id <= 100; id++ {
					b.queue.Enqueue(t.Context(), version(id, 5))
				}
				wait(t, time.Second)
				if n := b.queue.remembered(); n != 2 {
					t.Errorf("%d raffles are remembered", n)
				}
				acked := b.queue.takeAcked()
				if len(acked) != 100 {
					t.Errorf("%d raffles are acknowledged", len(acked))
				}
				// What was forgotten is found in the stream again.
				for id := int64(1); id <= 100; id++ {
					b.queue.Enqueue(t.Context(), version(id, 5))
				}
				wait(t, time.Second)
				if again := b.queue.takeAcked(); !maps.Equal(acked, again) || b.queue.Pending() != 0 {
					t.Errorf("acknowledged %v, %d raffles are pending", again, b.queue.Pending())
				}
				for id := int64(1); id <= 100; id++ {
					b.queue.Enqueue(t.Context(), version(id, 6))
				}
				wait(t, time.Second)
				for id := int64(1); id <= 100; id++ {
					b.stream.wantVersions(t, id, 5, 6)
				}
			})
		})
	}
}

func TestQueue_RemembersRafflesThatAreBusyOrThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, time.Minute)
		b.queue.maxIdle = 0
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1), version(2, 1))
		synctest.Wait()
		b.queue.Enqueue(t.Context(), version(1, 2))
		wait(t, time.Minute-1)
		if n := b.queue.remembered(); n != 2 {
			t.Errorf("%d raffles are remembered within the interval", n)
		}
		b.stream.wantVersions(t, 1, 1)
		wait(t, time.Second)
		b.stream.wantVersions(t, 1, 1, 2)
		wait(t, time.Hour)
		if n := b.queue.remembered(); n != 0 {
			t.Errorf("%d raffles are remembered after the interval", n)
		}
	})
}

// BenchmarkQueue is the price of a commit for the outbox: 64 raffles that change more
// often than the interval allows to publish.
func BenchmarkQueue(b *testing.B) {
	q := NewQueue(testInterval)
	b.ReportAllocs()
	for v := int64(1); b.Loop(); v++ {
		q.Enqueue(b.Context(), version(v%64, v))
	}
}
