package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestStore_TagsAreMadeAnewForAnotherLife(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	made := b.createDrawn(t, raffle.Raffle{MaxEntriesPerMember: 5})
	b.enterMembers(t, made.ID, 1) // the key is remembered now
	if _, err := b.pool.Exec(t.Context(), `UPDATE raffles SET epoch = 'other'`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.pool.Exec(t.Context(), `UPDATE raffle_keys SET key = $1`, make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	b.enterMembers(t, made.ID, 1)
	r := b.verify(t, made.ID)
	tag := b.tag(t, &r, "member-0")
	if record := b.records(t, made.ID)[2]; string(record[5:]) != string(tag[:]) {
		t.Error("the tag was made with the key of the other life")
	}
}

// A restored database that lacks entries which viewers have seen begins another log.
func TestStore_BeginsAnotherLogIfRecordsAreLost(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	ctx := t.Context()
	made := b.createDrawn(t, raffle.Raffle{MaxEntriesPerMember: 5, Rule: raffle.MemberWinsOnce})
	b.enterMembers(t, made.ID, 6)
	if _, err := b.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: made.ID, MemberID: "member-3"}); err != nil {
		t.Fatal(err)
	}
	r := b.verify(t, made.ID)
	root, old := r.Log.Tree.Root(), b.Tag(made.ID, "member-0")
	seen := raffle.SeenLog{Life: 1, Size: r.Log.Tree.Size, Root: root[:]}
	if restarted, err := b.RestartLog(ctx, made.ID, seen); restarted || err != nil {
		t.Fatalf("the log is what was seen: %t, %v", restarted, err)
	}
	b.enterMembers(t, made.ID, 2)
	if restarted, err := b.RestartLog(ctx, made.ID, seen); restarted || err != nil {
		t.Fatalf("the log continues what was seen: %t, %v", restarted, err)
	}
	for _, c := range []struct {
		name string
		lost raffle.SeenLog
	}{
		{"more records", raffle.SeenLog{Life: 1, Size: 100, Root: make([]byte, 32)}},
		{"other ones", raffle.SeenLog{Life: 2, Size: 4, Root: make([]byte, 32)}},
	} {
		name, lost := c.name, c.lost
		before := b.verify(t, made.ID).Version
		if restarted, err := b.RestartLog(ctx, made.ID, lost); !restarted || err != nil {
			t.Fatalf("%s: %t, %v", name, restarted, err)
		}
		if again := b.verify(t, made.ID); again.Version <= before || !slices.ContainsFunc(b.enqueued(), func(r raffle.Raffle) bool {
			return r.ID == made.ID && r.Version == again.Version && r.Log.Origin == again.Log.Origin
		}) {
			t.Errorf("%s: version %d after %d is not enqueued", name, again.Version, before)
		}
		log := b.verifyLog(t, made.ID)
		r = b.verify(t, made.ID)
		if r.Log.Life() != lost.Life+1 || r.Log.Origin != fmt.Sprintf("raffles.test/raffle/%d/%d", made.ID, lost.Life+1) || log.Head().Size != 2+7 {
			t.Errorf("%s: %q", name, log.Head())
		}
	}
	var first string
	if err := b.pool.QueryRow(ctx, `SELECT member_id FROM entries WHERE raffle_id = $1 AND ticket = 2`, made.ID).Scan(&first); err != nil || first != "member-0" {
		t.Errorf("the first ticket is of %q, %v", first, err)
	}
	b.ExpectNewcomers(made.ID)
	if res := b.enter(t, raffle.EnterRequest{RaffleID: made.ID, MemberID: "member-0", Tag: old}); res.Err != nil {
		t.Errorf("with a tag of the first log: %v", res.Err)
	}
	b.enterMembers(t, made.ID, 3) // by keys that were remembered before
	b.verifyLog(t, made.ID)
	b.awaitDraw(t, made.ID)
	b.verifyLog(t, made.ID)
	b.verifyAsAStranger(t, made.ID)
	// After the end there is no other log, and nothing but the draw follows.
	if restarted, err := b.RestartLog(ctx, made.ID, raffle.SeenLog{Life: 3, Size: 1000, Root: make([]byte, 32)}); restarted || err != nil {
		t.Errorf("after the end: %t, %v", restarted, err)
	}
	if _, err := b.Redraw(ctx, made.ID, raffle.RequestID{}); !errors.As(err, new(*raffle.LogBehindError)) {
		t.Errorf("redraw: %v", err)
	}
}

// A database that was restored is noticed by the first batch and the first change after
// it, not only when its identity is read the next time.
func TestStore_NoticesARestoreAtOnce(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(b *drawBundle, id int64) error{
		"a batch": func(b *drawBundle, id int64) error {
			results, err := b.EnterBatch(t.Context(), []raffle.EnterRequest{{RaffleID: id, MemberID: "m"}})
			return errors.Join(err, results[0].Err) // entries are taken in any case
		},
		"a change": func(b *drawBundle, id int64) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // nobody compares
			defer cancel()
			if _, err := b.Cancel(ctx, id, raffle.RequestID{}); !errors.Is(err, raffle.ErrNotCompared) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		},
		"a receipt": func(b *drawBundle, id int64) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := drawer.New(b.Store, b.drawer).Ticket(ctx, id, 1); !errors.Is(err, raffle.ErrNotCompared) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupDraws(t)
			made := b.createDrawn(t, raffle.Raffle{MaxEntriesPerMember: 5})
			b.enterMembers(t, made.ID, 2)
			b.Comparison = new(raffle.Comparison)
			identity, err := b.Identity(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b.Comparison.Compared(b.Comparison.Observe(identity))
			b.enterMembers(t, made.ID, 2)
			if !b.Comparison.Done() {
				t.Fatal("entries end what was compared")
			}
			if _, err := b.pool.Exec(t.Context(), `UPDATE database_identity SET ticks = ticks - 1`); err != nil {
				t.Fatal(err)
			}
			if err := look(b, made.ID); err != nil {
				t.Error(err)
			}
			if b.Comparison.Done() {
				t.Error("it was not noticed")
			}
			if r := b.verify(t, made.ID); r.State != raffle.Open {
				t.Errorf("%+v", r)
			}
		})
	}
}
