package outbox

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// TestStream holds the fake of the other tests to what the real stream does.
func TestStream(t *testing.T) {
	t.Parallel()
	t.Run("JetStream", func(t *testing.T) {
		t.Parallel()
		js := natstest.Start(t).JetStream()
		testStream(t, NewJetStream(js, 1), func() {
			if err := js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{}
		testStream(t, s, s.remove)
	})
}

func testStream(t *testing.T, s Stream, remove func()) {
	t.Helper()
	ctx := t.Context()
	last := func(id int64, seq uint64, version int64) {
		t.Helper()
		got, err := s.Last(ctx, id)
		if err != nil || got.Seq != seq || got.Version != version || got.Age.Abs() > time.Minute || seq == 0 && got.Age != 0 {
			t.Errorf("the last message of raffle %d is %+v, %v; want sequence %d, version %d", id, got, err, seq, version)
		}
	}
	appended := func(id, v int64, after, want uint64) {
		t.Helper()
		seq, err := s.Append(ctx, version(id, v), after)
		if errors.Is(err, ErrConflict) != (want == 0) || want > 0 && (err != nil || seq != want) {
			t.Errorf("appended version %d behind %d: %d, %v; want %d", v, after, seq, err, want)
		}
	}
	last(1, 0, 0) // there is no stream
	if state, err := s.State(ctx); err != nil || state != (State{}) {
		t.Errorf("the state without a stream is %+v, %v", state, err)
	}
	appended(1, 1, 0, 0) // makes the stream, and the caller looks again
	appended(1, 1, 0, 1)
	appended(2, 5, 0, 2)
	appended(1, 2, 0, 0) // raffle 1 has a message
	appended(1, 2, 2, 0) // which is not this one
	appended(1, 2, 1, 3)
	appended(1, 2, 1, 0)
	last(1, 3, 2)
	last(2, 2, 5)
	last(3, 0, 0)
	if err := s.Ensure(ctx); err != nil {
		t.Error(err)
	}
	state, err := s.State(ctx)
	if err != nil || state.Created.IsZero() || state.Last != 3 {
		t.Errorf("state %+v, %v", state, err)
	}
	if versions, err := s.Versions(ctx); err != nil || !maps.Equal(versions, map[int64]int64{1: 2, 2: 5}) {
		t.Errorf("versions %v, %v", versions, err)
	}
	remove()
	if err := s.Ensure(ctx); err != nil {
		t.Error(err)
	}
	anew, err := s.State(ctx)
	if err != nil || anew.Created.Equal(state.Created) || anew.Last != 0 {
		t.Errorf("state of the next stream %+v, %v", anew, err)
	}
	last(1, 0, 0)
	appended(1, 2, 3, 0)
	appended(1, 2, 0, 1)
}

func TestJetStream_ReplacesWhatNobodyCanRead(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	s := NewJetStream(js, 1)
	if err := s.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), oddsstream.Subject(1), []byte("\xff")); err != nil {
		t.Fatal(err)
	}
	last, err := s.Last(t.Context(), 1)
	if err != nil || last.Seq != 1 || last.Version != 0 {
		t.Errorf("%+v, %v", last, err)
	}
	if seq, err := s.Append(t.Context(), version(1, 1), last.Seq); err != nil || seq != 2 {
		t.Errorf("%d, %v", seq, err)
	}
}

func TestJetStream_TellsConflictsFromOtherErrors(t *testing.T) {
	t.Parallel()
	for code, want := range map[jetstream.ErrorCode]bool{
		10071: true, 10164: true, jetstream.JSErrCodeStreamNotFound: false, 10077: false,
	} {
		if got := isConflict(&jetstream.APIError{ErrorCode: code}); got != want {
			t.Errorf("code %d is a conflict: %t", code, got)
		}
	}
	if isConflict(nil) || isConflict(errors.New("no connection")) {
		t.Error("an error without a code is a conflict")
	}
}
