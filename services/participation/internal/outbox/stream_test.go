package outbox

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// TestStream_FakeDoesAsJetStream holds the fake of the other tests to what the real stream does.
func TestStream_FakeDoesAsJetStream(t *testing.T) {
	t.Parallel()
	t.Run("JetStream", func(t *testing.T) {
		t.Parallel()
		js := natstest.Start(t).JetStream()
		testStream(t, newJetStream(js), func() {
			if err := js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{database: "ours"}
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
	newest, err := s.Newest(ctx)
	if err != nil || len(newest) != 2 {
		t.Errorf("newest %v, %v", newest, err)
	}
	for id, want := range map[int64]Message{1: {Seq: 3, Epoch: "e", Version: 2}, 2: {Seq: 2, Epoch: "e", Version: 5}} {
		got := newest[id]
		if got.Seq != want.Seq || got.Epoch != want.Epoch || got.Version != want.Version || got.Removed || got.Damaged {
			t.Errorf("raffle %d: %+v", id, got)
		}
	}
	testRemove(t, s)
	testMarks(t, s)
	if state, err = s.State(ctx); err != nil {
		t.Error(err)
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

// testRemove removes raffle 2, whose last message is version 5 with sequence 2.
func testRemove(t *testing.T, s Stream) {
	t.Helper()
	ctx := t.Context()
	last, err := s.Last(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(ctx, 2, Message{Seq: 1, Version: 5}); !errors.Is(err, ErrConflict) {
		t.Errorf("removed behind another message: %v", err)
	}
	seq, err := s.Remove(ctx, 2, last)
	if err != nil {
		t.Error(err)
	}
	gone, err := s.Last(ctx, 2)
	if err != nil || gone.Seq != seq || !gone.Removed || gone.Epoch != "e" || gone.Version != 6 || gone.Content == last.Content {
		t.Errorf("removed: %+v, %v", gone, err)
	}
	next := version(2, 1)
	next.Epoch = "f"
	if relation := gone.relate(&next); relation != behind {
		t.Errorf("the next raffle with this id: %v", relation)
	}
}

// testMarks checks what is recorded in a stream besides its messages.
func testMarks(t *testing.T, s Stream) {
	t.Helper()
	ctx := t.Context()
	state, err := s.State(ctx)
	if err != nil || !state.Owned || state.Reconciled || state.Messages != 4 || state.Subjects != 2 {
		t.Errorf("before it is filled: %+v, %v", state, err)
	}
	if err := s.MarkReconciled(ctx, state.Created.Add(-time.Second)); err == nil {
		t.Error("another stream was marked")
	}
	if err := s.MarkReconciled(ctx, state.Created); err != nil {
		t.Error(err)
	}
	if err := s.Ensure(ctx); err != nil { // keeps the mark
		t.Error(err)
	}
	if state, err = s.State(ctx); err != nil || !state.Owned || !state.Reconciled {
		t.Errorf("after it is filled: %+v, %v", state, err)
	}
	s.UseDatabase("another")
	_, stateErr := s.State(ctx)
	_, lastErr := s.Last(ctx, 1)
	_, appendErr := s.Append(ctx, version(1, 3), 3)
	_, removeErr := s.Remove(ctx, 1, Message{Seq: 3})
	for method, err := range map[string]error{
		"Ensure": s.Ensure(ctx), "State": stateErr, "Last": lastErr, "Append": appendErr,
		"Remove": removeErr, "MarkReconciled": s.MarkReconciled(ctx, state.Created),
	} {
		if foreign, ok := errors.AsType[*ForeignStreamError](err); !ok || foreign.Owner != "ours" || foreign.Database != "another" {
			t.Errorf("%s of a foreign stream: %v", method, err)
		}
	}
	s.UseDatabase("ours")
	if state, err = s.State(ctx); err != nil || !state.Owned || state.Last != 4 {
		t.Errorf("ours again: %+v, %v", state, err)
	}
}

func TestJetStream_ReplacesWhatNobodyCanRead(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	s := newJetStream(js)
	if err := s.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), oddsstream.Subject(1), []byte("\xff")); err != nil {
		t.Fatal(err)
	}
	last, err := s.Last(t.Context(), 1)
	if err != nil || last.Seq != 1 || last.Version != 0 || !last.Damaged {
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
