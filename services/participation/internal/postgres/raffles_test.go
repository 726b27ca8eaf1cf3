package postgres_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
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

func TestStore_ReplaysACreationWhoseTimeHasPassed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	closes := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	asked := raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 1, ClosesAt: closes}
	made, err := b.Create(t.Context(), asked, raffle.RequestID{1})
	if err != nil {
		t.Fatal(err)
	}
	// The hour passes: the request asks for a time that is over.
	past := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	asked.ClosesAt = past
	hash, err := postgres.ContentOf(asked)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.pool.Exec(t.Context(), `UPDATE raffle_requests SET content = $1`, hash); err != nil {
		t.Fatal(err)
	}
	again, err := b.Create(t.Context(), asked, raffle.RequestID{1})
	if err != nil || again.ID != made.ID {
		t.Errorf("got %+v, %v", again, err)
	}
	if _, err := b.Create(t.Context(), asked, raffle.RequestID{2}); !errors.As(err, new(*raffle.TimePassedError)) {
		t.Errorf("a new request: %v", err)
	}
	if _, err := b.pool.Exec(t.Context(), `UPDATE raffle_requests SET content = NULL`); err != nil { // an earlier version
		t.Fatal(err)
	}
	if again, err := b.Create(t.Context(), asked, raffle.RequestID{1}); err != nil || again.ID != made.ID {
		t.Errorf("request of an earlier version: %+v, %v", again, err)
	}
}

func TestStore_RefusesARequestIDWithOtherContent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	asked := raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 1, OpensAt: at, ClosesAt: at.Add(time.Hour)}
	if _, err := b.Create(t.Context(), asked, raffle.RequestID{1}); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*raffle.Raffle){
		"title":    func(r *raffle.Raffle) { r.Title = "B" },
		"winners":  func(r *raffle.Raffle) { r.Winners = 2 },
		"limit":    func(r *raffle.Raffle) { r.MaxEntriesPerMember = 2 },
		"opens":    func(r *raffle.Raffle) { r.OpensAt = time.Time{} },
		"closes":   func(r *raffle.Raffle) { r.ClosesAt = r.ClosesAt.Add(time.Second) },
		"too late": func(r *raffle.Raffle) { r.OpensAt, r.ClosesAt = time.Time{}, at.Add(-2*time.Hour) },
	} {
		other := asked
		change(&other)
		if r, err := b.Create(t.Context(), other, raffle.RequestID{1}); !isReused(err) {
			t.Errorf("another %s: %+v, %v", what, r, err)
		}
	}
	if list, err := b.List(t.Context(), 0, 10, 0); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
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
	local := closes.In(time.FixedZone("", 3600))
	same := raffle.Change{Title: new("B"), Winners: new(int32(7)), ClosesAt: &local}
	if replayed, err := b.Update(t.Context(), r.ID, same, raffle.RequestID{1}); err != nil || replayed.Title != "B" || replayed.Version != 2 {
		t.Errorf("replayed: %+v, %v", replayed, err)
	}
	if _, err := b.Update(t.Context(), r.ID, raffle.Change{Title: new("C")}, raffle.RequestID{1}); !isReused(err) {
		t.Errorf("another change with the same request id: %v", err)
	}
	if cancelled, err := b.Cancel(t.Context(), r.ID, raffle.RequestID{2}); err != nil || cancelled.State != raffle.Cancelled || cancelled.Version != 3 {
		t.Errorf("%+v, %v", cancelled, err)
	}
	if _, err := b.Update(t.Context(), r.ID, raffle.Change{Title: new("C")}, raffle.RequestID{}); !errors.As(err, new(*raffle.NotOpenError)) {
		t.Errorf("after the end: %v", err)
	}
}
