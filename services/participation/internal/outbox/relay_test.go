package outbox

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// wait lets fake time pass.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
	synctest.Wait()
}

func TestRelay_PublishesTheFirstAtOnceAndTheLastAlways(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.startRelay(t)
		began := time.Now()
		for v := int64(1); v <= 5; v++ {
			b.queue.Enqueue(t.Context(), version(1, v))
			wait(t, time.Millisecond)
		}
		b.stream.wantVersions(t, 1, 1)
		if at := b.stream.stored(1)[0].at; !at.Equal(began) {
			t.Errorf("the first was published after %v", at.Sub(began))
		}
		wait(t, testInterval)
		b.stream.wantVersions(t, 1, 1, 5)
		b.stream.wantApart(t, 1, testInterval)
		if late := b.stream.stored(1)[1].at.Sub(began) - testInterval; late > minRelease {
			t.Errorf("the last was published %v too late", late)
		}
		wait(t, time.Hour)
		b.queue.Enqueue(t.Context(), version(1, 6)) // after a pause, the next is a first again
		synctest.Wait()
		b.stream.wantVersions(t, 1, 1, 5, 6)
	})
}

func TestRelay_ConflatesToTheInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.latency = 3 * time.Millisecond
		b.startRelay(t)
		const last = 1000
		for v := int64(1); v <= last; v++ { // for a second
			for id := int64(1); id <= 3; id++ {
				b.queue.Enqueue(t.Context(), version(id, v))
			}
			wait(t, time.Millisecond)
		}
		wait(t, testInterval+3*time.Millisecond)
		for id := int64(1); id <= 3; id++ {
			b.stream.wantApart(t, id, testInterval)
			got := b.stream.versions(id)
			if got[len(got)-1] != last {
				t.Errorf("raffle %d ends with version %d", id, got[len(got)-1])
			}
			// 1 s / (50 ms + 3 ms), rounded up, and the last.
			if n := len(got); n < 19 || n > 21 {
				t.Errorf("raffle %d has %d messages", id, n)
			}
		}
	})
}

func TestRelay_PublishesEveryVersionItCanWithoutAnInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, 0)
		b.startRelay(t)
		for v := int64(1); v <= 5; v++ {
			b.queue.Enqueue(t.Context(), version(1, v))
			synctest.Wait()
		}
		b.stream.wantVersions(t, 1, 1, 2, 3, 4, 5)
	})
}

func TestRelay_SendsFinalStatesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, time.Minute)
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1))
		synctest.Wait()
		b.queue.Enqueue(t.Context(), version(1, 2))
		synctest.Wait()
		b.stream.wantVersions(t, 1, 1)
		b.queue.Enqueue(t.Context(), final(1, 3))
		synctest.Wait()
		b.stream.wantVersions(t, 1, 1, 3)
	})
}

func TestRelay_ConflatesAfterAFinalState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1))
		wait(t, testInterval/2)
		b.queue.Enqueue(t.Context(), final(1, 2))
		wait(t, testInterval/4)
		b.queue.Enqueue(t.Context(), version(1, 3)) // waits for the interval since version 2
		wait(t, time.Second)
		b.stream.wantVersions(t, 1, 1, 2, 3)
		if m := b.stream.stored(1); len(m) == 3 && m[2].at.Sub(m[1].at) < testInterval {
			t.Errorf("version 3 came %v after version 2", m[2].at.Sub(m[1].at))
		}
	})
}

func TestRelay_KeepsOneMessageInFlightPerRaffle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, 0)
		b.stream.latency = 10 * time.Millisecond
		b.startRelay(t)
		for v := int64(1); v <= 100; v++ {
			b.queue.Enqueue(t.Context(), version(1, v), version(2, v))
			wait(t, time.Millisecond)
		}
		wait(t, time.Second)
		stats := b.stream.counted()
		if stats.overlap != 1 || stats.abreast != 2 {
			t.Errorf("%d messages of one raffle in flight, %d in all", stats.overlap, stats.abreast)
		}
		b.stream.wantApart(t, 1, 10*time.Millisecond)
		if got := b.stream.versions(1); got[len(got)-1] != 100 || b.failed.Load() != 0 {
			t.Errorf("ends with %v, after %d failures", got, b.failed.Load())
		}
		// The raffle's last sequence is known from the acknowledgement before.
		if stats.looks != 3 { // one for each raffle, and one after the stream was made
			t.Errorf("%d looks at the stream", stats.looks)
		}
	})
}

func TestRelay_RetriesUntilItSucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.fail(errors.New("NATS is unavailable"))
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1), version(2, 1))
		wait(t, 10*time.Second)
		if b.failed.Load() < 50 || b.failed.Load() > 100 || b.queue.Pending() != 2 {
			t.Errorf("%d attempts in 10 s, %d raffles are pending", b.failed.Load(), b.queue.Pending())
		}
		b.queue.Enqueue(t.Context(), version(1, 2)) // takes the place of the first
		b.stream.fail(nil)
		wait(t, 2*retryDelay)
		if b.queue.Pending() != 0 {
			t.Errorf("%d raffles are pending", b.queue.Pending())
		}
		b.stream.wantVersions(t, 1, 2)
		b.stream.wantVersions(t, 2, 1)
	})
}

func TestRelay_DoesNotRepeatAMessageWhoseAckWasLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.put(t, version(1, 1))
		b.startRelay(t)
		b.stream.loseAcks = 1
		wait(t, testInterval)
		b.queue.Enqueue(t.Context(), version(1, 2))
		synctest.Wait()
		if acked := b.queue.takeAcked(); len(acked) != 0 || b.failed.Load() != 1 {
			t.Errorf("acknowledged %v, after %d failures", acked, b.failed.Load())
		}
		wait(t, 2*retryDelay)
		b.stream.wantVersions(t, 1, 1, 2)
		if acked := b.queue.takeAcked(); acked[1].Version != 2 || b.queue.Pending() != 0 {
			t.Errorf("acknowledged %v, %d raffles are pending", acked, b.queue.Pending())
		}
	})
}

func TestRelay_AcksOnlyWhatTheStreamHas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.put(t, version(2, 1)) // so that the stream exists
		b.stream.latency = 10 * time.Millisecond
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1))
		wait(t, 9*time.Millisecond) // stored, and the acknowledgement is on its way
		if acked := b.queue.takeAcked(); len(acked) != 0 {
			t.Errorf("acknowledged too early: %v", acked)
		}
		b.queue.Enqueue(t.Context(), version(1, 2))
		wait(t, time.Millisecond)
		if acked := b.queue.takeAcked(); acked[1].Version != 1 || len(acked) != 1 {
			t.Errorf("acknowledged %v", acked)
		}
		if acked := b.queue.takeAcked(); len(acked) != 0 {
			t.Errorf("acknowledged twice: %v", acked)
		}
		wait(t, time.Second)
		if acked := b.queue.takeAcked(); acked[1].Version != 2 {
			t.Errorf("acknowledged %v", acked)
		}
		b.queue.Enqueue(t.Context(), version(1, 1)) // which recovery read before it was marked
		if acked := b.queue.takeAcked(); acked[1].Version != 2 || b.queue.Pending() != 0 {
			t.Errorf("acknowledged %v, %d raffles are pending", acked, b.queue.Pending())
		}
	})
}

func TestRelay_LeavesAHigherVersionOfAnotherProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1))
		wait(t, time.Second)
		b.stream.put(t, version(1, 10))
		b.queue.Enqueue(t.Context(), version(1, 9))
		synctest.Wait()
		b.stream.wantVersions(t, 1, 1, 10)
		if acked := b.queue.takeAcked(); acked[1].Version != 10 || b.queue.Pending() != 0 || b.failed.Load() != 0 {
			t.Errorf("acknowledged %v, %d raffles are pending, %d failures", acked, b.queue.Pending(), b.failed.Load())
		}
		wait(t, time.Second)
		b.queue.Enqueue(t.Context(), version(1, 11))
		synctest.Wait()
		b.stream.wantVersions(t, 1, 1, 10, 11)
	})
}

func TestRelay_WaitsForTheIntervalAfterAnotherProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.startRelay(t)
		b.queue.Enqueue(t.Context(), version(1, 1))
		wait(t, time.Second)
		b.stream.put(t, version(1, 2))
		wait(t, testInterval/2)
		b.queue.Enqueue(t.Context(), version(1, 3)) // conflicts, and is too soon
		synctest.Wait()
		b.stream.wantVersions(t, 1, 1, 2)
		wait(t, testInterval+minRelease)
		b.stream.wantVersions(t, 1, 1, 2, 3)
		// Version 1 found no stream first, and version 3 a conflict.
		if stats := b.stream.counted(); b.failed.Load() != 0 || stats.appends != 4 || stats.looks != 4 {
			t.Errorf("%d failures, %+v", b.failed.Load(), stats)
		}
		b.stream.put(t, version(1, 4))
		b.queue.Enqueue(t.Context(), final(1, 5)) // does not wait
		synctest.Wait()
		b.stream.wantVersions(t, 1, 1, 2, 3, 4, 5)
	})
}

// TestRelay_ConflatesAcrossProcesses has three processes commit versions of one
// raffle, each with a queue of its own.
func TestRelay_ConflatesAcrossProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.latency = time.Millisecond
		queues := []*Queue{b.queue, NewQueue(testInterval), NewQueue(testInterval)}
		for _, q := range queues {
			start(t, newRelay(q, b.stream, newMender(q, b.stream, b.source, b.cfg), b.cfg).run)
		}
		const last = 1000
		for v := int64(1); v <= last; v++ {
			queues[v%3].Enqueue(t.Context(), version(1, v))
			wait(t, time.Millisecond)
		}
		wait(t, 3*testInterval)
		b.stream.wantApart(t, 1, testInterval)
		got := b.stream.versions(1)
		if got[len(got)-1] != last || len(got) < 15 || len(got) > 23 {
			t.Errorf("%d messages, up to version %d", len(got), got[len(got)-1])
		}
		if b.failed.Load() != 0 {
			t.Errorf("%d failures", b.failed.Load())
		}
	})
}

// skewed is a stream whose server's clock was set back after the last message.
type skewed struct{ *fakeStream }

func (s skewed) Last(ctx context.Context, id int64) (Message, error) {
	last, err := s.fakeStream.Last(ctx, id)
	last.Age -= time.Hour
	return last, err
}

func TestRelay_DoesNotWaitForAClockThatWasSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.put(t, version(1, 1))
		start(t, b.relay(skewed{b.stream}).run)
		b.queue.Enqueue(t.Context(), version(1, 2))
		synctest.Wait()
		b.stream.wantVersions(t, 1, 1, 2)
	})
}

// contested is a stream on which another process is always faster.
type contested struct{ *fakeStream }

func (contested) Append(context.Context, raffle.Raffle, uint64) (uint64, error) {
	return 0, ErrConflict
}

func TestRelay_PausesAfterManyConflicts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, 0)
		start(t, b.relay(contested{b.stream}).run)
		b.queue.Enqueue(t.Context(), version(1, 1))
		wait(t, time.Second-1)
		if b.failed.Load() != 4 || b.stream.counted().looks != 4*maxConflicts {
			t.Errorf("%d failures, %d looks at the stream", b.failed.Load(), b.stream.counted().looks)
		}
	})
}

func TestRelay_TracesPublishingInTheChangeThatMadeTheVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		spans := tracetest.NewSpanRecorder()
		b.cfg.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
		traced := func(name string) (context.Context, trace.Span) {
			ctx, span := b.cfg.Tracer.Start(t.Context(), name)
			span.End()
			return ctx, span
		}
		b.startRelay(t)
		first, firstSpan := traced("first")
		second, secondSpan := traced("second")
		b.queue.Enqueue(first, version(1, 1))
		synctest.Wait()
		b.queue.Enqueue(second, version(1, 2))
		b.queue.Enqueue(t.Context(), version(1, 3)) // takes the place of the second, and its trace
		wait(t, time.Second)
		b.queue.Enqueue(t.Context(), version(1, 4))
		wait(t, time.Second)
		b.stream.wantVersions(t, 1, 1, 3, 4)
		var parents []trace.SpanID
		for _, span := range spans.Ended()[2:] {
			parents = append(parents, span.Parent().SpanID())
		}
		if want := []trace.SpanID{firstSpan.SpanContext().SpanID(), secondSpan.SpanContext().SpanID()}; !slices.Equal(parents, want) {
			t.Errorf("spans under %v, want %v", parents, want)
		}
	})
}
