package oddsstream

import (
	"math"
	"strings"
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

func TestNames_SubjectsNameTheirRaffle(t *testing.T) {
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

func TestNames_WithAPrefix(t *testing.T) {
	t.Parallel()
	n := Names{Prefix: "staging-2"}
	if n.Stream() != "STAGING-2_RAFFLE_ODDS" || n.AllStored() != "staging-2.raffle.odds.*" ||
		n.AllLive() != "staging-2.raffle.live.*" || n.Subject(7) != "staging-2.raffle.odds.7" {
		t.Errorf("%s, %s, %s, %s", n.Stream(), n.AllStored(), n.AllLive(), n.Subject(7))
	}
	for _, subject := range []string{n.Subject(7), "staging-2.raffle.live.7"} {
		if id, ok := n.RaffleID(subject); !ok || id != 7 {
			t.Errorf("%s: %d, %t", subject, id, ok)
		}
	}
	for _, subject := range []string{Subject(7), "staging.raffle.odds.7", "staging-2.staging-2.raffle.odds.7"} {
		if id, ok := n.RaffleID(subject); ok {
			t.Errorf("%s names raffle %d", subject, id)
		}
	}
}

func TestCheckPrefix_TakesNamesOfOneToken(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]bool{
		"": true, "staging": true, "eu-west-1": true, strings.Repeat("a", 32): true,
		"Staging": false, "a.b": false, "a b": false, "*": false, ">": false, "a_b": false, strings.Repeat("a", 33): false,
	} {
		if err := CheckPrefix(prefix); (err == nil) != want {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}

func TestReconciled_ReadsTheMetadata(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		metadata map[string]string
		want     bool
	}{
		{nil, true},
		{map[string]string{"_nats.ver": "2.14.0"}, true},
		{map[string]string{DatabaseKey: "a"}, false},
		{map[string]string{DatabaseKey: "a", ReconciledKey: "true"}, true},
	} {
		if got := Reconciled(c.metadata); got != c.want {
			t.Errorf("%v: %t", c.metadata, got)
		}
	}
}
