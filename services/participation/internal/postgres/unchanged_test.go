package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// oneConnection lets the store enter by a single connection, which it returns.
func (b *testBundle) oneConnection(t *testing.T, mode pgx.QueryExecMode) *pgxpool.Pool {
	t.Helper()
	cfg := b.pool.Config()
	cfg.MaxConns, cfg.ConnConfig.DefaultQueryExecMode = 1, mode
	one, err := postgres.NewPool(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Close)
	b.Store = postgres.New(b.pool, one, b)
	return one
}

// isUsed reports whether a statement was used by a single connection, which prepares it for
// the first time.
func isUsed(t *testing.T, one *pgxpool.Pool, statement string) (used bool) {
	t.Helper()
	if err := one.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE statement = $1)`, statement).Scan(&used); err != nil {
		t.Fatal(err)
	}
	return used
}

func TestUnchanged_RaffleIsNotRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.oneConnection(t, pgx.QueryExecModeCacheStatement)
	r := b.create(t, raffle.Raffle{})
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "first"})
	var before, after time.Time
	if err := b.pool.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&before); err != nil {
		t.Fatal(err)
	}
	b.ExpectUnchanged(r.ID)
	id := raffle.RequestID{1}
	results, err := b.EnterBatch(t.Context(), []raffle.EnterRequest{
		{RaffleID: r.ID, MemberID: "second", RequestID: id}, {RaffleID: r.ID, MemberID: "third"}, {RaffleID: r.ID, MemberID: "second", RequestID: id},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.pool.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&after); err != nil {
		t.Fatal(err)
	}
	if !isUsed(t, one, postgres.LockUnchanged) {
		t.Error("the raffle was read")
	}
	stored := b.verify(t, r.ID)
	at := stored.UpdatedAt
	if stored.EntryCount != 3 || stored.Version != r.Version+2 || at.Before(before) || at.After(after) {
		t.Errorf("stored: %+v; want 3 entries, and a time from %v to %v", stored, before, after)
	}
	for i, res := range results {
		if res.Err != nil || res.Replayed != (i == 2) || !res.Entry.CreatedAt.Equal(at) || !reflect.DeepEqual(*res.Raffle, stored) {
			t.Errorf("result %d: %+v of %+v; stored: %+v", i, res, res.Raffle, stored)
		}
	}
	if enqueued := b.enqueued(); !reflect.DeepEqual(enqueued[len(enqueued)-1], stored) {
		t.Errorf("enqueued: %+v; stored: %+v", enqueued[len(enqueued)-1], stored)
	}
	var times int
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM entries WHERE raffle_id = $1 AND created_at = $2`, r.ID, at).Scan(&times); err != nil || times != 2 {
		t.Errorf("%d entries have the time of the answers (%v)", times, err)
	}
	// The same request is answered again, once the members are read.
	if res := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "second", RequestID: id}); !res.Replayed || !res.Entry.CreatedAt.Equal(at) {
		t.Errorf("replayed: %+v", res)
	}
}

func TestUnchanged_IsExpectedAfterManyEntriesWithoutAnotherWriter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := postgres.New(b.pool, b.pool, b)
	r := b.create(t, raffle.Raffle{})
	named := 0
	request := func() raffle.EnterRequest {
		named++
		return raffle.EnterRequest{RaffleID: r.ID, MemberID: fmt.Sprint("m", named)}
	}
	const size = postgres.TrustedAfter / 10
	newMembers := func(batches int) {
		t.Helper()
		for range batches {
			reqs := make([]raffle.EnterRequest, size)
			for i := range reqs {
				reqs[i] = request()
			}
			if _, err := b.EnterBatch(t.Context(), reqs); err != nil {
				t.Fatal(err)
			}
			b.TrustFor(r.ID, time.Hour)
		}
	}
	if newMembers(10); b.ExpectsUnchanged(request()) {
		t.Error("expected before there were enough entries: the first batch found what another has made")
	}
	if newMembers(1); !b.ExpectsUnchanged(request()) || b.ExpectsUnchanged(request(), raffle.EnterRequest{RaffleID: r.ID + 1}) {
		t.Error("not expected after enough entries, or for two raffles")
	}
	// A mark of what was published changes the row, but makes no version.
	b.checkpoint(t, map[int64]raffle.Published{r.ID: {Epoch: r.Epoch, Version: 3}})
	if newMembers(1); !b.ExpectsUnchanged(request()) {
		t.Error("not expected any more after a mark")
	}
	if _, err := other.EnterBatch(t.Context(), []raffle.EnterRequest{request()}); err != nil {
		t.Fatal(err)
	}
	if newMembers(1); b.ExpectsUnchanged(request()) {
		t.Error("expected right after a change by another instance")
	}
	b.verify(t, r.ID)
}

func TestUnchanged_IsExpectedForAWhileOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m"})
	b.ExpectUnchanged(r.ID)
	if !b.ExpectsUnchanged(raffle.EnterRequest{RaffleID: r.ID}) {
		t.Fatal("not expected at all")
	}
	b.TrustFor(r.ID, -time.Millisecond)
	if b.ExpectsUnchanged(raffle.EnterRequest{RaffleID: r.ID}) {
		t.Error("expected after its time")
	}
}

// TestUnchanged_ChangesAreSeen changes a raffle in each way that there is, between two
// batches of a store that takes it for unchanged.
func TestUnchanged_ChangesAreSeen(t *testing.T) {
	t.Parallel()
	exec := func(statement string) func(context.Context, *testBundle, int64) error {
		return func(ctx context.Context, b *testBundle, id int64) error {
			tag, err := b.pool.Exec(ctx, statement, id)
			if err == nil && tag.RowsAffected() != 1 {
				err = fmt.Errorf("%d rows", tag.RowsAffected())
			}
			return err
		}
	}
	for name, c := range map[string]struct {
		change  func(context.Context, *testBundle, int64) error
		refused bool
		entries int64 // after another one was placed
	}{
		"nothing": {change: func(context.Context, *testBundle, int64) error { return nil }, entries: 3},
		"another instance": {change: func(ctx context.Context, b *testBundle, id int64) error {
			_, err := postgres.New(b.pool, b.pool, b).EnterBatch(ctx, []raffle.EnterRequest{{RaffleID: id, MemberID: "elsewhere"}})
			return err
		}, entries: 4},
		"a withdrawal": {change: func(ctx context.Context, b *testBundle, id int64) error {
			_, err := b.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: id, MemberID: "first"})
			return err
		}, entries: 2},
		"an update": {change: func(ctx context.Context, b *testBundle, id int64) error {
			_, err := b.Update(ctx, id, raffle.Change{Title: new("B")}, raffle.RequestID{})
			return err
		}, entries: 3},
		"the close": {change: func(ctx context.Context, b *testBundle, id int64) error {
			_, err := b.Close(ctx, id, raffle.RequestID{})
			return err
		}, refused: true, entries: 2},
		"a mark":                 {change: exec(`UPDATE raffles SET published_version = version WHERE id = $1`), entries: 3},
		"a state by hand":        {change: exec(`UPDATE raffles SET state = 3 WHERE id = $1`), refused: true, entries: 2},
		"a time by hand":         {change: exec(`UPDATE raffles SET closes_at = now() WHERE id = $1`), refused: true, entries: 2},
		"a limit by hand":        {change: exec(`UPDATE raffles SET max_entries_per_member = 5 WHERE id = $1`), entries: 3},
		"counters by hand":       {change: exec(`UPDATE raffles SET entries = 7, members = 7 WHERE id = $1`), entries: 8},
		"an earlier version":     {change: exec(`UPDATE raffles SET version = version - 1, entries = entries - 1, members = members - 1 WHERE id = $1`), entries: 2},
		"a lock that goes again": {change: lockForAMoment, entries: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := b.create(t, raffle.Raffle{})
			b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "first"})
			b.ExpectUnchanged(r.ID)
			b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "second"})
			b.ExpectUnchanged(r.ID)
			if !b.ExpectsUnchanged(raffle.EnterRequest{RaffleID: r.ID}) {
				t.Fatal("the raffle is not taken for unchanged")
			}
			if err := c.change(t.Context(), b, r.ID); err != nil {
				t.Fatal(err)
			}
			before, err := b.Get(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			res := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "third"})
			after, err := b.Get(t.Context(), r.ID)
			_, notOpen := errors.AsType[*raffle.NotOpenError](res.Err)
			if err != nil || notOpen != c.refused || !c.refused && res.Err != nil || after.EntryCount != c.entries {
				t.Errorf("%+v, then %+v (%v); want %d entries", res, after, err, c.entries)
			}
			if !c.refused && (after.Version != before.Version+1 || !reflect.DeepEqual(*res.Raffle, after) || after.Title != before.Title) {
				t.Errorf("answered %+v; before %+v, after %+v", *res.Raffle, before, after)
			}
		})
	}
}

// lockForAMoment locks a raffle for a time in which a batch waits for it, and changes
// nothing.
func lockForAMoment(ctx context.Context, b *testBundle, id int64) error {
	tx, err := b.pool.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE raffles SET title = 'never' WHERE id = $1`, id); err != nil {
		return err
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = tx.Rollback(context.WithoutCancel(ctx)) })
	return nil
}

func TestUnchanged_RaffleClosesInTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	if _, err := b.Update(t.Context(), r.ID, raffle.Change{ClosesAt: new(time.Now().Add(time.Second))}, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	var last raffle.EnterResult
	for i := 0; last.Err == nil; i++ {
		if time.Since(r.CreatedAt) > time.Minute {
			t.Fatal("it takes entries long after its close")
		}
		b.ExpectUnchanged(r.ID)
		last = b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: fmt.Sprint(i)})
	}
	after := b.verify(t, r.ID)
	var late int
	err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM entries e JOIN raffles r ON r.id = e.raffle_id WHERE r.id = $1 AND e.created_at >= r.closes_at`, r.ID).Scan(&late)
	if _, notOpen := errors.AsType[*raffle.NotOpenError](last.Err); !notOpen || after.State != raffle.Closed || late > 0 || err != nil {
		t.Errorf("%v; the raffle is %v, and %d entries are of a time after the close (%v)", last.Err, after.State, late, err)
	}
}

func TestUnchanged_LockedRaffleIsReportedAsLocked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "first"})
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM raffles WHERE id = $1 FOR UPDATE`, r.ID); err != nil {
		t.Fatal(err)
	}
	b.ExpectUnchanged(r.ID)
	if res := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "second"}); !errors.Is(res.Err, raffle.ErrLocked) {
		t.Errorf("%+v", res)
	}
}

func TestUnchanged_IsNotExpectedAfterAFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.oneConnection(t, pgx.QueryExecModeExec) // without a pipeline
	r := b.create(t, raffle.Raffle{})
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "first"})
	b.ExpectUnchanged(r.ID)
	second := raffle.EnterRequest{RaffleID: r.ID, MemberID: "second", RequestID: raffle.RequestID{1}}
	var pid int
	if err := one.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if _, err := b.pool.Exec(t.Context(), `SELECT pg_terminate_backend($1, 60000)`, pid); err != nil {
		t.Fatal(err)
	}
	if _, err := b.EnterBatch(t.Context(), []raffle.EnterRequest{second}); !errors.Is(err, raffle.ErrUnavailable) {
		t.Errorf("over a connection that was ended: %v", err)
	}
	if b.ExpectsUnchanged(second) {
		t.Error("the raffle is taken for unchanged still")
	}
	if res := b.enter(t, second); res.Err != nil || res.Raffle.EntryCount != 2 {
		t.Errorf("%+v", res)
	}
	b.verify(t, r.ID)
}

// TestUnchanged_AnswersOfABatchStayAsTheyAre enters raffles with a log and with holders,
// whose state each batch takes from the one before.
func TestUnchanged_AnswersOfABatchStayAsTheyAre(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	r := b.createDrawn(t, raffle.Raffle{Rule: raffle.MemberWinsOnce, MaxEntriesPerMember: 2})
	b.enterMembers(t, r.ID, 1) // reads the key of the log
	var answered, copied []raffle.Raffle
	var results []*raffle.Raffle
	for batch := range 5 {
		b.ExpectUnchanged(r.ID)
		reqs := make([]raffle.EnterRequest, 0, 4)
		for i := range 3 {
			member := fmt.Sprint("new-", batch, "-", i)
			reqs = append(reqs, raffle.EnterRequest{RaffleID: r.ID, MemberID: member, Tag: b.Tag(r.ID, member)})
		}
		reqs = append(reqs, reqs[0]) // a second entry of its member
		if batch > 0 && !b.ExpectsUnchanged(reqs...) {
			t.Error("the raffle is read")
		}
		batchResults, err := b.EnterBatch(t.Context(), reqs)
		if err != nil || batchResults[3].Err != nil || batchResults[3].Entry.Ordinal != 2 {
			t.Fatalf("%+v, %v", batchResults, err)
		}
		results = append(results, batchResults[0].Raffle)
		stored, err := b.Get(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		answered, copied = append(answered, *batchResults[0].Raffle), append(copied, stored)
	}
	for i := range results {
		if head := results[i].Log.Head(); head != copied[i].Log.Head() || !slices.Equal(results[i].Holders.Counts(), copied[i].Holders.Counts()) ||
			results[i].EntryCount != copied[i].EntryCount || answered[i].EntryCount != copied[i].EntryCount {
			t.Errorf("batch %d is answered with %+v, %v; stored: %+v, %v", i, *results[i], results[i].Holders, copied[i], copied[i].Holders)
		}
	}
	if log := b.verifyLog(t, r.ID); log == nil || copied[4].EntryCount != 21 {
		t.Errorf("%+v", copied[4])
	}
	if b.ExpectsUnchanged(raffle.EnterRequest{RaffleID: r.ID, MemberID: "without a tag"}) {
		t.Error("the key of the log would not be read")
	}
}
