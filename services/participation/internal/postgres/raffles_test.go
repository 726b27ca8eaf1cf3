package postgres_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestStore_CreateGetList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	first := b.create(t, raffle.Raffle{})
	later := b.create(t, raffle.Raffle{OpensAt: at, ClosesAt: at.Add(time.Hour), MaxEntriesPerMember: 3})
	if first.State != raffle.Open || later.State != raffle.Scheduled || first.Version != 1 || later.ID <= first.ID {
		t.Errorf("%+v, %+v", first, later)
	}
	got, err := b.Get(t.Context(), later.ID)
	if err != nil || !got.OpensAt.Equal(at) || !got.ClosesAt.Equal(at.Add(time.Hour)) || got.MaxEntriesPerMember != 3 || got.CreatedAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := b.Get(t.Context(), 99); !isNotFound(err) {
		t.Errorf("unknown: %v", err)
	}
	for _, c := range []struct {
		after int64
		limit int
		state raffle.State
		want  int
	}{{0, 10, 0, 2}, {first.ID, 10, 0, 1}, {0, 1, 0, 1}, {0, 10, raffle.Scheduled, 1}, {0, 10, raffle.Closed, 0}} {
		if list, err := b.List(t.Context(), c.after, c.limit, c.state); err != nil || len(list) != c.want {
			t.Errorf("%+v: %+v, %v", c, list, err)
		}
	}
	if committed := b.enqueued(); !slices.Equal(committed, []raffle.Raffle{first, later}) {
		t.Errorf("enqueued %+v", committed)
	}
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*raffle.NotFoundError](err)
	return ok
}

func TestStore_ReplaysCallsByRequestID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, other := raffle.RequestID{1}, raffle.RequestID{2}
	made, err := b.Create(t.Context(), raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 1}, id)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Create(t.Context(), raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 1}, id)
	if err != nil || again.ID != made.ID {
		t.Errorf("the replayed request made %+v, %v", again, err)
	}
	closed, err := b.Close(t.Context(), made.ID, other)
	if err != nil || closed.State != raffle.Closed || closed.Version != 2 {
		t.Errorf("%+v, %v", closed, err)
	}
	if replayed, err := b.Close(t.Context(), made.ID, other); err != nil || replayed.Version != 2 {
		t.Errorf("replayed: %+v, %v", replayed, err)
	}
	if _, err := b.Close(t.Context(), made.ID, id); !isReused(err) {
		t.Errorf("another call's id: %v", err)
	}
	second := b.create(t, raffle.Raffle{})
	if _, err := b.Close(t.Context(), second.ID, other); !isReused(err) {
		t.Errorf("another raffle's id: %v", err)
	}
	if _, err := b.Close(t.Context(), 99, raffle.RequestID{3}); !isNotFound(err) {
		t.Errorf("unknown raffle: %v", err)
	}
}

func isReused(err error) bool {
	_, ok := errors.AsType[*raffle.RequestReusedError](err)
	return ok
}

func TestStore_UpdateAndCancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	closes := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	changed, err := b.Update(t.Context(), r.ID, raffle.Change{Title: new("B"), Winners: new(int32(7)), ClosesAt: &closes}, raffle.RequestID{1})
	if err != nil {
		t.Fatal(err)
	}
	got := b.verify(t, r.ID)
	if got.Title != "B" || got.Winners != 7 || !got.ClosesAt.Equal(closes) || got.Version != 2 || got.State != changed.State {
		t.Errorf("%+v", got)
	}
	if _, err := b.Update(t.Context(), r.ID, raffle.Change{OpensAt: &closes}, raffle.RequestID{}); !errors.As(err, new(*raffle.ImmutableError)) {
		t.Errorf("contradiction: %v", err)
	}
	if replayed, err := b.Update(t.Context(), r.ID, raffle.Change{Title: new("C")}, raffle.RequestID{1}); err != nil || replayed.Title != "B" {
		t.Errorf("replayed: %+v, %v", replayed, err)
	}
	if cancelled, err := b.Cancel(t.Context(), r.ID, raffle.RequestID{2}); err != nil || cancelled.State != raffle.Cancelled || cancelled.Version != 3 {
		t.Errorf("%+v, %v", cancelled, err)
	}
	if _, err := b.Update(t.Context(), r.ID, raffle.Change{Title: new("C")}, raffle.RequestID{}); !errors.As(err, new(*raffle.NotOpenError)) {
		t.Errorf("after the end: %v", err)
	}
}
