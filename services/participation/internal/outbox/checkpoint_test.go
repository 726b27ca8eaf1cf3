package outbox

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestCheckpoint_MarksWhatIsPublished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.startOutbox(t, nil)
		b.source.commit(t.Context(), version(1, 1), false)
		wait(t, checkpointInterval)
		if v := b.source.marked(1); v != 1 {
			t.Errorf("version %d is marked", v)
		}
		b.stream.fail(errors.New("NATS is unavailable"))
		b.source.commit(t.Context(), version(1, 2), false)
		wait(t, time.Minute)
		if v := b.source.marked(1); v != 1 {
			t.Errorf("version %d is marked, and the stream has %v", v, b.stream.versions(1))
		}
		b.stream.fail(nil)
		wait(t, retryDelay+checkpointInterval)
		if v := b.source.marked(1); v != 2 {
			t.Errorf("version %d is marked", v)
		}
	})
}

func TestCheckpoint_RecoversWhatACrashLeftWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.startOutbox(t, nil)
		wait(t, time.Minute)
		for _, offset := range []time.Duration{0, 1, 100 * time.Millisecond, checkpointInterval - 1} {
			wait(t, offset)
			v := b.source.raffle(1).Version + 1
			b.source.commit(t.Context(), version(1, v), true)
			wait(t, 2*time.Second-1)
			if got := b.stream.versions(1); len(got) == 0 || got[len(got)-1] != v {
				t.Errorf("version %d was left behind, the stream has %v", v, got)
			}
			wait(t, checkpointInterval)
			if marked := b.source.marked(1); marked != v {
				t.Errorf("version %d is marked, want %d", marked, v)
			}
		}
	})
}

func TestCheckpoint_LeavesYoungVersionsToTheirWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.startOutbox(t, nil)
		wait(t, time.Minute)
		b.source.commit(t.Context(), version(1, 1), true)
		wait(t, 999*time.Millisecond)
		b.stream.wantVersions(t, 1)
	})
}

func TestCheckpoint_RepeatsMarksThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.startOutbox(t, nil)
		synctest.Wait()
		b.source.fail(errors.New("the database is unavailable"))
		b.queue.Enqueue(t.Context(), version(1, 1))
		b.source.raffles[1] = version(1, 1)
		wait(t, time.Minute)
		b.stream.wantVersions(t, 1, 1)
		if v := b.source.marked(1); v != 0 {
			t.Errorf("version %d is marked", v)
		}
		b.source.fail(nil)
		wait(t, 3*checkpointInterval)
		if v := b.source.marked(1); v != 1 {
			t.Errorf("version %d is marked", v)
		}
		b.stream.wantVersions(t, 1, 1)
	})
}

func TestOutbox_RunMarksTheLastVersionsAtTheStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		stop := b.startOutbox(t, nil)
		wait(t, time.Minute+1) // just after a checkpoint
		b.source.commit(t.Context(), version(1, 1), false)
		synctest.Wait()
		if v := b.source.marked(1); v != 0 {
			t.Errorf("version %d is marked already", v)
		}
		stop()
		if v := b.source.marked(1); v != 1 {
			t.Errorf("version %d is marked", v)
		}
	})
}

// TestOutbox_RunMayStopAtAnyTime stops an outbox in the middle of everything.
func TestOutbox_RunMayStopAtAnyTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for i := range 50 {
			b := setup(t, testInterval)
			b.stream.latency = 7 * time.Millisecond
			stop := b.startOutbox(t, nil)
			for v := int64(1); v <= int64(i); v++ {
				b.source.commit(t.Context(), version(v%3, v), false)
				wait(t, 11*time.Millisecond)
			}
			began := time.Now()
			stop()
			if took := time.Since(began); took > 0 {
				t.Errorf("after %d versions it took %v to stop", i, took)
			}
		}
	})
}

// TestCheckpoint_BumpsWhatTheDatabaseHasLost has the database lose versions without
// any sign but the next version, which is lower than what the relay knows.
func TestCheckpoint_BumpsWhatTheDatabaseHasLost(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]int64{"lower": 5, "equal": 9} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, testInterval)
				b.source.raffles[1] = version(1, 9)
				b.startOutbox(t, nil)
				wait(t, time.Minute)
				lost := version(1, next)
				lost.EntryCount = 3
				b.source.commit(t.Context(), lost, false)
				wait(t, 2*checkpointInterval)
				b.stream.wantVersions(t, 1, 9, 10)
				if b.stream.stored(1)[1].raffle.EntryCount != 3 {
					t.Errorf("the stream has %+v", b.stream.stored(1))
				}
			})
		})
	}
}

// TestCheckpoint_BumpsWhatAnotherProcessHasPublished has the relay meet a version that
// the database does not have.
func TestCheckpoint_BumpsWhatAnotherProcessHasPublished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.source.raffles[1] = version(1, 2)
		b.startOutbox(t, nil)
		wait(t, time.Minute)
		b.stream.put(t, version(1, 8))
		b.source.commit(t.Context(), version(1, 3), false)
		wait(t, 2*checkpointInterval)
		b.stream.wantVersions(t, 1, 2, 8, 9)
		if v := b.source.marked(1); v > b.source.raffle(1).Version {
			t.Errorf("version %d is marked as published", v)
		}
	})
}
