package doctor

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

func odds(state string) string {
	return "id: 1:1\nevent: raffle-winning-probability\ndata: {\"state\":\"" + state + "\",\"at\":\"2026-11-22T12:00:00Z\"}\n\n"
}

func TestStream_RecordsHowItEnded(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		body   io.Reader
		want   ending
		err    error
		events int
	}{
		"end of the body":  {strings.NewReader(odds("OPEN")), truncated, nil, 1},
		"within an event":  {strings.NewReader(odds("OPEN") + "id: 1:2\ndata: {"), truncated, nil, 1},
		"broken":           {io.MultiReader(strings.NewReader(odds("OPEN")), iotest.ErrReader(broken)), truncated, broken, 1},
		"drained":          {strings.NewReader("retry: 10\n" + odds("OPEN") + "retry: 20\n\n"), drained, nil, 1},
		"the raffle ended": {strings.NewReader(odds("OPEN") + odds("DRAWN") + odds("OPEN")), raffleEnded, nil, 2},
		"an empty event":   {strings.NewReader("event: x\n\n" + odds("OPEN")), truncated, nil, 1},
	} {
		var s stream
		s.read(io.NopCloser(c.body), time.Now(), nil)
		if s.ending != c.want || !errors.Is(s.err, c.err) || len(s.events) != c.events {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

func TestStream_RecordsWhenEventsWereSent(t *testing.T) {
	t.Parallel()
	var s stream
	s.read(io.NopCloser(strings.NewReader(odds("OPEN"))), time.Now(), nil)
	if want := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC); !s.events[0].sentAt.Equal(want) || s.events[0].id != "1:1" {
		t.Errorf("got %+v", s.events[0])
	}
}

func TestStream_StopsWhenNoMoreIsWanted(t *testing.T) {
	t.Parallel()
	var s stream
	s.read(&endlessEvents{}, time.Now(), func(event) bool { return len(s.events) < 3 })
	if s.ending != stillOpen || len(s.events) != 3 {
		t.Errorf("ending %v after %d events", s.ending, len(s.events))
	}
}

func TestStream_BoundsTheNumberOfEvents(t *testing.T) {
	t.Parallel()
	var s stream
	s.read(&endlessEvents{}, time.Now(), nil)
	if s.ending != truncated || s.err == nil || len(s.events) != maxEvents {
		t.Errorf("ending %v, %v, after %d events", s.ending, s.err, len(s.events))
	}
}

// endlessEvents is a body that repeats an event until it is closed.
type endlessEvents struct {
	rest   string
	closed atomic.Bool
}

func (e *endlessEvents) Close() error { e.closed.Store(true); return nil }

func (e *endlessEvents) Read(p []byte) (int, error) {
	if e.closed.Load() {
		return 0, io.EOF
	}
	if e.rest == "" {
		e.rest = "data: 2\n\n"
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}
