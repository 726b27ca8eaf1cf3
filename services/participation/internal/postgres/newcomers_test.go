package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestNewcomers_AreNotRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.oneConnection(t, pgx.QueryExecModeCacheStatement)
	r, other := b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{})
	b.ExpectNewcomers(r.ID)
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "new"})
	if isUsed(t, one, postgres.SelectMemberStates) {
		t.Error("the members of a raffle that newcomers enter were read")
	}
	b.enter(t, raffle.EnterRequest{RaffleID: other.ID, MemberID: "new"})
	if !isUsed(t, one, postgres.SelectMemberStates) {
		t.Error("the members of another raffle were not read")
	}
}

func TestNewcomers_AreExpectedAfterManyFirstEntries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, other := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2}), b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	const size = postgres.TrustedAfter / 10
	newMembers := func(batches int) {
		t.Helper()
		for batch := range batches {
			reqs := make([]raffle.EnterRequest, size)
			for i := range reqs {
				reqs[i] = raffle.EnterRequest{RaffleID: r.ID, MemberID: fmt.Sprint(batches, "-", batch, "-", i)}
			}
			if _, err := b.EnterBatch(t.Context(), reqs); err != nil {
				t.Fatal(err)
			}
		}
	}
	comesAgain := func(member string) {
		t.Helper()
		if res := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: member}); res.Err != nil || res.Entry.Ordinal != 2 {
			t.Errorf("%+v", res)
		}
	}
	newMembers(8)
	comesAgain("8-0-0")
	newMembers(9)
	if b.ExpectsNewcomers(r.ID) {
		t.Error("expected before there were enough first entries in a row")
	}
	newMembers(1)
	if !b.ExpectsNewcomers(r.ID) || b.ExpectsNewcomers(other.ID) {
		t.Error("not expected after enough first entries in a row, or in a raffle without any")
	}
	comesAgain("8-0-1")
	if b.ExpectsNewcomers(r.ID) {
		t.Error("expected after a second entry")
	}
	newMembers(7)
	if res := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "8-0-0"}); res.Err == nil {
		t.Errorf("a third entry of two: %+v", res)
	}
	if newMembers(3); b.ExpectsNewcomers(r.ID) {
		t.Error("expected although a member was refused who had entered")
	}
	b.verify(t, r.ID)
}

func TestNewcomers_WhoHaveEnteredAreReadAfterAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	read := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	request := func(member string, id byte) raffle.EnterRequest {
		return raffle.EnterRequest{RaffleID: r.ID, MemberID: member, RequestID: raffle.RequestID{id}}
	}
	first := b.enter(t, request("comes again", 1))
	b.enter(t, request("may not", 2))
	b.enter(t, request("may not", 3))
	b.enter(t, request("has withdrawn", 4))
	if _, err := b.Withdraw(t.Context(), raffle.WithdrawRequest{RaffleID: r.ID, MemberID: "has withdrawn"}); err != nil {
		t.Fatal(err)
	}
	before := b.enter(t, raffle.EnterRequest{RaffleID: read.ID, MemberID: "comes again"})
	b.ExpectNewcomers(r.ID)
	results, err := b.EnterBatch(t.Context(), []raffle.EnterRequest{
		request("new", 5), request("comes again", 1), request("may not", 6), request("has withdrawn", 7), request("new", 5),
		{RaffleID: read.ID, MemberID: "comes again"},
	})
	if err != nil {
		t.Fatal(err)
	}
	limit, limited := errors.AsType[*raffle.EntryLimitError](results[2].Err)
	switch {
	case results[0].Err != nil || results[0].Entry.Ordinal != 1 || results[0].Replayed:
		t.Errorf("new: %+v", results[0])
	case !results[1].Replayed || !results[1].Entry.CreatedAt.Equal(first.Entry.CreatedAt):
		t.Errorf("the same request: %+v", results[1])
	case !limited || limit.Max != 2:
		t.Errorf("a third entry of two: %+v", results[2])
	case results[3].Err != nil || results[3].Entry.Ordinal != 2 || results[3].MemberEntries != 1:
		t.Errorf("after a withdrawal: %+v", results[3])
	case !results[4].Replayed || results[4].Entry.Ordinal != 1:
		t.Errorf("the same request within the batch: %+v", results[4])
	case results[5].Err != nil || results[5].Entry.Ordinal != before.Entry.Ordinal+1:
		t.Errorf("in a raffle whose members are read: %+v", results[5])
	}
	b.verify(t, r.ID)
	b.verify(t, read.ID)
	// Nothing is left behind of the attempt that failed: each version once.
	b.check(t, r.ID, 2)
}

func TestNewcomers_AreAnsweredAgainThoughTheRaffleHasEnded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{})
	req := raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{1}}
	b.enter(t, req)
	if _, err := b.Close(t.Context(), r.ID, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	b.ExpectNewcomers(r.ID)
	if res := b.enter(t, req); res.Err != nil || !res.Replayed {
		t.Errorf("%+v", res)
	}
	// Nor is each call for a raffle that has ended decided twice.
	b.ExpectNewcomers(r.ID)
	if res := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "late"}); res.Err == nil || b.ExpectsNewcomers(r.ID) {
		t.Errorf("%+v; newcomers are expected still: %t", res, b.ExpectsNewcomers(r.ID))
	}
}

func TestNewcomers_ErrorNamesNoMember(t *testing.T) {
	t.Parallel()
	b := setup(t)
	insert := func() error {
		_, err := b.pool.Exec(t.Context(), `SELECT insert_newcomers('{1}', '{marked}', '{1}', '{NULL}', now(), NULL)`)
		return err
	}
	if err := insert(); err != nil {
		t.Fatal(err)
	}
	pg, ok := errors.AsType[*pgconn.PgError](insert())
	if !ok || pg.Code != "RC001" || strings.Contains(fmt.Sprintf("%+v", *pg), "marked") {
		t.Errorf("%+v", pg)
	}
}
