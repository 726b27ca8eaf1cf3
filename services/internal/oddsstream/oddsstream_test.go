package oddsstream

import (
	"math"
	"testing"
	"time"
)

// A client that waits for as long as it was asked to, and then needs as long again
// to notice and connect, must find its place in the stream, however busy the
// raffle.
func TestConfig_KeepsWhatReturningClientsMissed(t *testing.T) {
	t.Parallel()
	kept := time.Duration(Config(1).MaxMsgsPerSubject) * ConflationInterval
	if kept < 2*LongestRetry {
		t.Errorf("%v are kept of a raffle that always changes", kept)
	}
}

func TestSubject_NamesItsRaffle(t *testing.T) {
	t.Parallel()
	for _, id := range []int64{1, 42, math.MaxInt64} {
		if got, ok := RaffleID(Subject(id)); !ok || got != id {
			t.Errorf("RaffleID(Subject(%d)) = %d, %t", id, got, ok)
		}
	}
	if got, ok := RaffleID("raffle.live.7"); !ok || got != 7 {
		t.Errorf("live: %d, %t", got, ok)
	}
	for _, subject := range []string{"", "raffle.odds.", "raffle.odds.0", "raffle.odds.-1", "raffle.odds.x", "raffle.live.1.2", "other.1", "1"} {
		if id, ok := RaffleID(subject); ok {
			t.Errorf("RaffleID(%q) = %d, true", subject, id)
		}
	}
}
