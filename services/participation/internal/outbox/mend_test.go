package outbox

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestReconcile_BumpsVersionsThatTheStreamIsAheadOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		restored := version(1, 3)
		restored.EntryCount = 1
		b.source.raffles[1], b.source.raffles[2] = restored, version(2, 4)
		b.stream.put(t, version(1, 9))
		b.stream.put(t, version(2, 4))
		wait(t, testInterval)
		b.startOutbox(t, nil)
		wait(t, time.Second)
		b.stream.wantVersions(t, 1, 9, 10)
		b.stream.wantVersions(t, 2, 4)
		for _, m := range b.stream.stored(1)[1:] {
			if m.raffle.EntryCount != 1 {
				t.Errorf("published %+v", m.raffle)
			}
		}
		if b.bumped.Load() != 1 {
			t.Errorf("%d versions were bumped", b.bumped.Load())
		}
		if r := b.source.raffle(1); r.Version != 10 {
			t.Errorf("the database has %+v", r)
		}
	})
}

func TestReconcile_TakesOffWhatTheDatabaseDoesNotHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.source.raffles[1] = version(1, 2)
		b.stream.put(t, version(1, 2))
		b.stream.put(t, version(2, 13))
		wait(t, time.Second)
		reconnected := make(chan struct{}, 1)
		b.startOutbox(t, reconnected)
		for range 3 {
			wait(t, time.Second)
			reconnected <- struct{}{}
		}
		wait(t, time.Second)
		b.stream.wantVersions(t, 1, 2)
		b.stream.wantVersions(t, 2, 13, 14) // once
		if last := b.stream.stored(2)[1]; !last.removed || b.removed.Load() != 1 {
			t.Errorf("raffle 2 ends with %+v", last)
		}
		again := version(2, 1)
		again.Epoch = "f"
		b.source.commit(t.Context(), again, false)
		wait(t, time.Second)
		b.stream.wantVersions(t, 2, 13, 14, 1)
	})
}

func TestReconcile_ReplacesAnotherLifeAndDamageWithoutBumping(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]fakeMessage{
		"another life": {raffle: raffle.Raffle{ID: 1, Epoch: "before", Version: 40}},
		"damage":       {raffle: raffle.Raffle{ID: 1}, damaged: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, testInterval)
				b.source.raffles[1] = version(1, 3)
				b.stream.putMessage(t, message)
				wait(t, time.Second)
				b.startOutbox(t, nil)
				wait(t, time.Second)
				b.stream.wantVersions(t, 1, message.raffle.Version, 3)
				if b.source.raffle(1).Version != 3 || b.bumped.Load() != 0 || (b.damaged.Load() > 0) != message.damaged {
					t.Errorf("the database has %+v, damage was reported %d times", b.source.raffle(1), b.damaged.Load())
				}
			})
		})
	}
}

func TestReconcile_BumpsAVersionThatHasOtherContentInTheStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		other := version(1, 9)
		b.source.raffles[1] = other
		other.EntryCount = 6
		b.stream.put(t, other)
		b.startOutbox(t, nil)
		wait(t, time.Second)
		b.stream.wantVersions(t, 1, 9, 10)
		if b.stream.stored(1)[1].raffle.EntryCount != 9 || b.bumped.Load() != 1 {
			t.Errorf("the stream has %+v", b.stream.stored(1))
		}
	})
}
