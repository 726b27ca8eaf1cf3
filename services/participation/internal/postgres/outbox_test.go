package postgres_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestStore_UnpublishedReturnsWhatIsNotMarked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{})
	unmarked := func() map[int64]int64 {
		t.Helper()
		unpublished, err := b.Unpublished(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		got := map[int64]int64{}
		for _, r := range unpublished {
			got[r.ID] = r.Version
		}
		return got
	}
	mark := func(versions map[int64]int64) {
		t.Helper()
		if err := b.Checkpoint(t.Context(), versions); err != nil {
			t.Fatal(err)
		}
	}
	if got := unmarked(); len(got) != 2 {
		t.Errorf("at first: %v", got)
	}
	mark(map[int64]int64{first.ID: 1, second.ID: 1})
	if got := unmarked(); len(got) != 0 {
		t.Errorf("all marked: %v", got)
	}
	if list, err := b.Unpublished(t.Context(), time.Hour); err != nil || len(list) != 0 {
		t.Errorf("none is an hour old: %v, %v", list, err)
	}
	b.enter(t, raffle.EnterRequest{RaffleID: first.ID, MemberID: "m"})
	if _, err := b.Close(t.Context(), second.ID, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	mark(map[int64]int64{first.ID: 1}) // late, and nothing new
	if got := unmarked(); got[first.ID] != 2 || got[second.ID] != 2 {
		t.Errorf("changed: %v", got)
	}
	mark(map[int64]int64{first.ID: 2, second.ID: 2})
	mark(map[int64]int64{first.ID: 1, second.ID: 1}) // late, of another instance
	var settled []int64
	rows, err := b.pool.Query(t.Context(), `SELECT id FROM raffles WHERE settled`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		settled = append(settled, id)
	}
	if len(settled) != 1 || settled[0] != second.ID || len(unmarked()) != 0 {
		t.Errorf("settled %v, unmarked %v", settled, unmarked())
	}
}

func TestStore_BumpVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	if err := b.BumpVersion(t.Context(), r.ID, 7); err != nil {
		t.Fatal(err)
	}
	got := b.verify(t, r.ID)
	if got.Version != 8 || !got.UpdatedAt.After(r.UpdatedAt) || !slices.Contains(b.enqueued(), got) {
		t.Errorf("%+v, enqueued %+v", got, b.enqueued())
	}
	if err := b.BumpVersion(t.Context(), r.ID, 7); err != nil {
		t.Fatal(err)
	}
	if got := b.verify(t, r.ID); got.Version != 8 || len(b.enqueued()) != 2 {
		t.Errorf("a version that is high enough was bumped: %+v, enqueued %+v", got, b.enqueued())
	}
	if err := b.BumpVersion(t.Context(), 99, 7); !isNotFound(err) {
		t.Errorf("unknown raffle: %v", err)
	}
}

func TestStore_CheckpointLeavesOutLockedRaffles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	free, locked := b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{})
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM raffles WHERE id = $1 FOR NO KEY UPDATE`, locked.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.Checkpoint(t.Context(), map[int64]int64{free.ID: 1, locked.ID: 1}); err != nil {
		t.Fatal(err)
	}
	list, err := b.Unpublished(t.Context(), 0)
	if err != nil || len(list) != 1 || list[0].ID != locked.ID {
		t.Errorf("unpublished %+v, %v", list, err)
	}
}
