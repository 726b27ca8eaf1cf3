package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// committed is the time in oddsText.
var committed = time.Date(2026, 11, 22, 10, 0, 0, 123_000_000, time.UTC)

// watching returns viewers of which one watches raffle 7 and has received a header.
func watching() (*viewers, *viewer) {
	v := &viewers{}
	v.reset()
	c := &viewer{raffle: &raffle{id: 7}, begun: true}
	v.conns, v.waiting = []*viewer{c}, 1
	v.begin()
	return v, c
}

func TestViewers_CheckWhatTheyRead(t *testing.T) {
	t.Parallel()
	version := func(n int) string { return strings.TrimSuffix(fmt.Sprintf(oddsText, "7", n), "\n\n") }
	for name, c := range map[string]struct {
		events []string
		want   string // part of an error; "": there must be none
	}{
		"versions that rise":     {[]string{version(1), version(3), version(4)}, ""},
		"a wait to reconnect":    {[]string{"retry: 1000\n" + version(1)}, ""},
		"only that":              {[]string{"retry: 1000", version(1)}, ""},
		"a heartbeat":            {[]string{version(1), "event: heartbeat\ndata: {}", version(2)}, ""},
		"a version twice":        {[]string{version(2), version(2)}, "version 2 after version 2"},
		"an older version":       {[]string{version(2), version(1)}, "version 1 after version 2"},
		"another raffle":         {[]string{strings.Replace(version(1), "7:", "8:", 1)}, "raffle 8 on a stream of raffle 7"},
		"another epoch":          {[]string{version(1), strings.Replace(version(2), "k3", "k4", 1)}, "epoch k4 after k3"},
		"a reset":                {[]string{version(1), "event: reset\ndata: {}"}, "an unexpected event"},
		"odds without an id":     {[]string{"\nevent: raffle-winning-probability\ndata: {}"}, "cannot be read"},
		"odds without their age": {[]string{strings.Replace(version(1), `"at"`, `"on"`, 1)}, "cannot be read"},
		"an age that is no time": {[]string{strings.Replace(version(1), "2026-11", "2026-31", 1)}, "raffle 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, viewer := watching()
			var err error
			for _, e := range c.events {
				if err = v.take(viewer, []byte(e), committed); err != nil {
					break
				}
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestViewers_MeasureTheAgeOfEachUpdate(t *testing.T) {
	t.Parallel()
	v, c := watching()
	for i, age := range []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, time.Second} {
		if err := v.take(c, fmt.Appendf(nil, oddsText, "7", i+1), committed.Add(age)); err != nil {
			t.Fatal(err)
		}
	}
	for command, want := range map[string]float64{"deliveries": 3, "age 50": 20, "age 100": 1000, "faults": 0} {
		if got, err := v.answer(strings.Fields(command)); err != nil || got < want || got > want*1.001 {
			t.Errorf("%s: %v, %v, want %v", command, got, err, want)
		}
	}
	if v.pending != 0 || v.waiting != 0 {
		t.Errorf("%d without an update, %d without their first event", v.pending, v.waiting)
	}
}

func TestViewers_FailWithoutTheFinalOdds(t *testing.T) {
	t.Parallel()
	v, c := watching()
	var err error
	if v.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(v.epoll)
	v.patience = time.Millisecond
	if err := v.take(c, fmt.Appendf(nil, oddsText, "7", 3), committed); err != nil {
		t.Fatal(err)
	}
	if _, err := v.answer(strings.Fields("final 7 3")); err != nil {
		t.Errorf("with the final odds: %v", err)
	}
	if _, err := v.answer(strings.Fields("final 7 4")); err == nil || !strings.Contains(err.Error(), "1 of 1 viewers lack the final odds") {
		t.Errorf("without them: %v", err)
	}
}
