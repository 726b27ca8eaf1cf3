package outbox

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestWatchDatabase_StartsAComparison(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*raffle.DatabaseIdentity)
		want   bool
	}{
		"nothing":     {func(*raffle.DatabaseIdentity) {}, false},
		"restored":    {func(i *raffle.DatabaseIdentity) { i.Ticks -= 2 }, true},
		"failed over": {func(i *raffle.DatabaseIdentity) { i.Timeline = "00000002" }, true},
		"replaced":    {func(i *raffle.DatabaseIdentity) { i.System = "2" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, testInterval)
				b.source.raffles[1] = version(1, 9)
				b.startOutbox(t, nil)
				wait(t, time.Minute)
				b.stream.wantVersions(t, 1, 9)
				b.source.mu.Lock()
				b.source.raffles[1] = version(1, 7) // quiet: nothing is enqueued
				c.change(&b.source.identity)
				b.source.mu.Unlock()
				wait(t, 2*time.Second)
				if c.want {
					b.stream.wantVersions(t, 1, 9, 10)
				} else {
					b.stream.wantVersions(t, 1, 9)
				}
				b.source.mu.Lock()
				defer b.source.mu.Unlock()
				if (b.source.resets == 1) != c.want {
					t.Errorf("connections were closed %d times", b.source.resets)
				}
			})
		})
	}
}
