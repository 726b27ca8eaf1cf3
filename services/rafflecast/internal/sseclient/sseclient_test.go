package sseclient

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestStream_ReadsEvents(t *testing.T) {
	t.Parallel()
	const text = "retry: 2741\nid: 1:1\nevent: raffle-winning-probability\ndata: {\"id\":\ndata: 1}\n\n" +
		": comment\n\nevent: heartbeat\ndata: {}\n\nretry: 1500\n\nid: 1:2\ndata: cut"
	s := New(io.NopCloser(iotest.OneByteReader(strings.NewReader(text))), "1:0", nil)
	defer s.Close()
	for _, want := range []Event{
		{Name: OddsEvent, ID: "1:1", Data: "{\"id\":\n1}", Retry: 2741 * time.Millisecond},
		{Name: HeartbeatEvent, ID: "1:1", Data: "{}"},
		{ID: "1:1", Retry: 1500 * time.Millisecond},
	} {
		if got, err := s.Next(); err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	if got, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %+v, %v; want EOF", got, err)
	}
}

func TestStream_KeepsTheIDThatItResumedFrom(t *testing.T) {
	t.Parallel()
	s := New(io.NopCloser(strings.NewReader("event: reset\ndata: {}\n\n")), "1:7", nil)
	defer s.Close()
	if got, err := s.Next(); err != nil || got.ID != "1:7" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestStream_ReturnsTheBodysError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	s := New(io.NopCloser(io.MultiReader(strings.NewReader("data: 1\n\n"), iotest.ErrReader(broken))), "", nil)
	defer s.Close()
	if _, err := s.Next(); err != nil {
		t.Error(err)
	}
	if _, err := s.Next(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// endless repeats a text until it is closed.
type endless struct {
	text, rest string
	closed     atomic.Bool
}

func (e *endless) Close() error { e.closed.Store(true); return nil }

func (e *endless) Read(p []byte) (int, error) {
	if e.closed.Load() {
		return 0, io.EOF
	}
	if e.rest == "" {
		e.rest = e.text
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestStream_BoundsTheSizeOfAnEvent(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"data: " + strings.Repeat("x", 1000) + "\n", "x"} {
		s := New(&endless{text: text}, "", nil)
		if _, err := s.Next(); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%.10q: %v", text, err)
		}
		s.Close()
	}
	s := New(&endless{text: "data: 2\n\n"}, "", nil)
	for range 2 * maxEventSize / len("data: 2\n\n") { // many small events are no large one
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
}

func TestStream_CloseEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine stays
		read, write := io.Pipe()
		s := New(read, "", nil)
		go io.WriteString(write, "data: 1\n\ndata: 2\n\ndata: 3\n\n")
		if _, err := s.Next(); err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

func TestStream_ReportsEachRead(t *testing.T) {
	t.Parallel()
	reads := 0
	s := New(io.NopCloser(iotest.OneByteReader(strings.NewReader("data: 1\n\n"))), "", func() { reads++ })
	defer s.Close()
	for {
		if _, err := s.Next(); err != nil {
			break
		}
	}
	if reads != len("data: 1\n\n") {
		t.Errorf("%d reads", reads)
	}
}
