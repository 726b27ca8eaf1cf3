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
	mark := func(firstVersion, secondVersion int64) {
		t.Helper()
		if drifted := b.checkpoint(t, map[int64]raffle.Published{
			first.ID: {Epoch: first.Epoch, Version: firstVersion}, second.ID: {Epoch: second.Epoch, Version: secondVersion},
		}); len(drifted) > 0 {
			t.Errorf("drifted: %v", drifted)
		}
	}
	if got := unmarked(); len(got) != 2 {
		t.Errorf("at first: %v", got)
	}
	mark(1, 1)
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
	mark(1, 1) // late, and nothing new
	if got := unmarked(); got[first.ID] != 2 || got[second.ID] != 2 {
		t.Errorf("changed: %v", got)
	}
	mark(2, 2)
	mark(1, 1) // late, of another instance
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
	if _, err := b.Close(t.Context(), r.ID, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	b.checkpoint(t, map[int64]raffle.Published{r.ID: {Version: 2}}) // settled
	bump := func(needed, want bool) {
		t.Helper()
		bumped, err := b.BumpVersion(t.Context(), r.ID, 7, func(current raffle.Raffle) bool {
			if current.ID != r.ID || current.Epoch != r.Epoch {
				t.Errorf("asked about %+v", current)
			}
			return needed
		})
		if err != nil || bumped != want {
			t.Errorf("bumped: %t, %v", bumped, err)
		}
	}
	bump(false, false)
	if got := b.verify(t, r.ID); got.Version != 2 || len(b.enqueued()) != 2 {
		t.Errorf("a version that needs no bump: %+v, enqueued %+v", got, b.enqueued())
	}
	bump(true, true)
	got := b.verify(t, r.ID)
	if got.Version != 8 || !got.UpdatedAt.After(r.UpdatedAt) || !slices.Contains(b.enqueued(), got) {
		t.Errorf("%+v, enqueued %+v", got, b.enqueued())
	}
	if list, err := b.Unpublished(t.Context(), 0); err != nil || len(list) != 1 || list[0] != got {
		t.Errorf("unpublished after the process has crashed: %+v, %v", list, err)
	}
	if _, err := b.BumpVersion(t.Context(), 99, 7, nil); !isNotFound(err) {
		t.Errorf("unknown raffle: %v", err)
	}
}

// checkpoint marks versions and returns what has drifted, in order.
func (b *testBundle) checkpoint(t *testing.T, published map[int64]raffle.Published) []int64 {
	t.Helper()
	drifted, err := b.Checkpoint(t.Context(), published)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(drifted)
	return drifted
}

func TestStore_CheckpointMarksNothingThatTheRowDoesNotHave(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ahead, other, same, old := b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{})
	drifted := b.checkpoint(t, map[int64]raffle.Published{
		ahead.ID: {Epoch: ahead.Epoch, Version: 2},
		other.ID: {Epoch: "another life", Version: 1},
		same.ID:  {Epoch: same.Epoch, Version: 1},
		old.ID:   {Version: 1}, // a service that knows no epochs has published it
		99:       {Epoch: "e", Version: 1},
	})
	if !slices.Equal(drifted, []int64{ahead.ID, other.ID, 99}) {
		t.Errorf("drifted: %v", drifted)
	}
	var wrong int
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM raffles WHERE published_version > version`).Scan(&wrong); err != nil || wrong > 0 {
		t.Errorf("%d raffles are published beyond their version (%v)", wrong, err)
	}
	list, err := b.Unpublished(t.Context(), 0)
	if err != nil || len(list) != 2 || list[0].ID != ahead.ID || list[1].ID != other.ID {
		t.Errorf("unpublished %+v, %v", list, err)
	}
}

func TestStore_IdentityRaisesTheTicks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, err := b.Identity(t.Context())
	if err != nil || first.ID == "" || first.System == "" || first.Timeline == "" {
		t.Errorf("%+v, %v", first, err)
	}
	second, err := b.Identity(t.Context())
	if err != nil || !first.Continues(second) || second.Continues(first) || first.Continues(first) {
		t.Errorf("%+v, then %+v, %v", first, second, err)
	}
	b.Reset()
	if third, err := b.Identity(t.Context()); err != nil || !second.Continues(third) {
		t.Errorf("after closing the connections: %+v, %v", third, err)
	}
	another, err := setup(t).Identity(t.Context())
	if err != nil || second.Continues(another) || another.ID == first.ID {
		t.Errorf("another database: %+v, %v", another, err)
	}
}

func TestMigrate_GivesEachRaffleAnEpoch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{})
	if first.Epoch == second.Epoch || len(first.Epoch) != 12 || b.verify(t, first.ID).Epoch != first.Epoch {
		t.Errorf("epochs %q and %q", first.Epoch, second.Epoch)
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
	b.checkpoint(t, map[int64]raffle.Published{free.ID: {Version: 1}, locked.ID: {Version: 1}})
	list, err := b.Unpublished(t.Context(), 0)
	if err != nil || len(list) != 1 || list[0].ID != locked.ID {
		t.Errorf("unpublished %+v, %v", list, err)
	}
}
