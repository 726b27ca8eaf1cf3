package flow

import (
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// after returns a time by seconds from the start.
func after(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// wantError fails unless err contains a text, or is nil if that is empty.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestClient_ReportsWhatArrivesLate(t *testing.T) {
	t.Parallel()
	ages := NewAges()
	c := NewClient(Limits{MaxAge: 2 * time.Second}, ages)
	wantError(t, c.Receive(1, after(-60), after(0)), "") // before it is connected
	c.Connect(after(0))
	wantError(t, c.Receive(2, after(-30), after(1)), "") // what a client is sent when it connects is old
	wantError(t, c.Receive(3, after(1), after(3)), "")
	wantError(t, c.Receive(4, after(3), after(2.9)), "") // a clock that is a little behind
	wantError(t, c.Receive(5, after(2), after(4.1)), "received version 5 2.1s after its commit, more than 2s")
	wantError(t, c.Receive(6, after(2), after(9)), "") // reported before
	if got := ages.At(100); got < 6900*time.Millisecond || got > 7100*time.Millisecond || c.Updates() != 4 {
		t.Errorf("oldest %v, %d updates", got, c.Updates())
	}
}

func TestClient_ReportsWhatDoesNotArrive(t *testing.T) {
	t.Parallel()
	commits := &Commits{}
	c := NewClient(Limits{MaxAge: 2 * time.Second}, NewAges())
	commits.Add(1, after(-10))
	wantError(t, c.Look(commits, true, after(0)), "") // not connected
	c.Connect(after(0))
	wantError(t, c.Look(commits, true, after(5)), "") // version 1 is from before
	commits.Add(2, after(4))
	commits.Add(3, after(5))
	wantError(t, c.Look(commits, true, after(6)), "")
	c.Disconnect()
	wantError(t, c.Look(commits, true, after(60)), "")
	c.Connect(after(4.5))
	wantError(t, c.Look(commits, true, after(6.9)), "") // version 2 is from before
	wantError(t, c.Look(commits, true, after(7.1)), "lacks version 3 2.1s after its commit")
	wantError(t, c.Look(commits, true, after(9)), "") // reported before
}

func TestClient_HasEnoughWithANewerVersion(t *testing.T) {
	t.Parallel()
	commits := &Commits{}
	c := NewClient(Limits{MaxAge: 2 * time.Second}, NewAges())
	c.Connect(after(0))
	for i := range int64(20) {
		commits.Add(i+1, after(1))
	}
	wantError(t, c.Receive(20, after(1), after(2)), "")
	wantError(t, c.Look(commits, true, after(60)), "")
	if commits.Versions() != 19 || commits.Add(20, after(3)) {
		t.Errorf("%d versions, or an old one is new", commits.Versions())
	}
}

func TestClient_ReportsTooFewUpdates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		updates, looks int
		want           string
	}{
		{5, 10, ""}, {4, 10, "received 4 updates, while participation had a newer version 10 times"}, {0, 7, ""}, {100, 10, ""},
	} {
		commits := &Commits{}
		c := NewClient(Limits{MaxAge: time.Hour, MinUpdates: 50}, NewAges())
		c.Connect(after(0))
		for i := range test.looks {
			commits.Add(int64(i), after(1))
			wantError(t, c.Look(commits, true, after(1)), "")
			wantError(t, c.Look(commits, false, after(1)), "")
		}
		for i := range test.updates {
			wantError(t, c.Receive(int64(i), after(1), after(1)), "")
		}
		wantError(t, c.Finish(), test.want)
	}
}
