package course

import (
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

func update(version int64, at time.Time) *odds.Update {
	return &odds.Update{RaffleID: 1, Epoch: "a", Version: version, Entries: version, At: at}
}

func TestRecorder_KeepsABoundedCourseOfAllThatWas(t *testing.T) {
	t.Parallel()
	var r Recorder
	start := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	const n = 10_000
	for i := range int64(n) {
		r.Record(update(i+1, start.Add(time.Duration(i)*time.Second)))
		if got := len(r.Of(1)); got > maxPoints {
			t.Fatalf("%d points after %d updates", got, i+1)
		}
	}
	points := r.Of(1)
	if len(points) < maxPoints/2 {
		t.Errorf("%d points", len(points))
	}
	if points[0].Entries != 1 || points[len(points)-1].Entries < n*95/100 {
		t.Errorf("from %d to %d entries", points[0].Entries, points[len(points)-1].Entries)
	}
	for i := 1; i < len(points); i++ {
		if gap := points[i].Entries - points[i-1].Entries; gap <= 0 || gap > n/20 {
			t.Errorf("%d entries between two points", gap)
		}
	}
}

func TestRecorder_BeginsAnewWithAnotherLife(t *testing.T) {
	t.Parallel()
	var r Recorder
	now := time.Now()
	r.Record(update(1, now))
	r.Record(update(2, now.Add(time.Second)))
	another := update(3, now.Add(2*time.Second))
	another.Epoch = "b"
	r.Record(another)
	if got := r.Of(1); len(got) != 1 || got[0].Entries != 3 {
		t.Errorf("another life: %v", got)
	}
	removed := update(4, now)
	removed.Removed = true
	r.Record(removed)
	if got := r.Of(1); got != nil {
		t.Errorf("removed: %v", got)
	}
}
