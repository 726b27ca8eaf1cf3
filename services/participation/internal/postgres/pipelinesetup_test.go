package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// outcome is what has become of a batch.
type outcome struct {
	results []raffle.EnterResult
	err     error
}

// lockHolder is a transaction that holds the lock of a raffle.
type lockHolder struct{ pgx.Tx }

// hold lets transactions that change a raffle wait until the lock is free.
func (b *testBundle) hold(t *testing.T, raffleID int64) lockHolder {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	if _, err := tx.Exec(t.Context(), `SELECT FROM raffles WHERE id = $1 FOR UPDATE`, raffleID); err != nil {
		t.Fatal(err)
	}
	return lockHolder{tx}
}

// free executes a statement, unless it is empty, and frees the lock.
func (h lockHolder) free(t *testing.T, statement string, args ...any) {
	t.Helper()
	if statement != "" {
		if _, err := h.Exec(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// begin enters members by the first transaction of a pipeline, which waits for the lock of
// their raffle.
func (b *testBundle) begin(t *testing.T, reqs ...raffle.EnterRequest) <-chan outcome {
	t.Helper()
	b.ExpectUnchanged(reqs[0].RaffleID)
	first := make(chan outcome, 1)
	go func() {
		results, err := b.EnterPatiently(context.WithoutCancel(t.Context()), reqs)
		first <- outcome{results, err}
	}()
	b.awaitPipelined(t, reqs[0].RaffleID, 1)
	return first
}

// awaitPipelined waits until so many transactions of a raffle's pipeline were sent.
func (b *testBundle) awaitPipelined(t *testing.T, raffleID int64, n int) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprint(n, " transactions were sent"), 20*time.Second, func() bool { return b.Pipelined(raffleID, 0) == n })
}

func (b *testBundle) follow(t *testing.T, reqs ...raffle.EnterRequest) <-chan outcome {
	t.Helper()
	sent := b.Pipelined(reqs[0].RaffleID, 0)
	next := make(chan outcome, 1)
	go func() {
		results, err := b.EnterNext(context.WithoutCancel(t.Context()), reqs)
		next <- outcome{results, err}
	}()
	b.awaitPipelined(t, reqs[0].RaffleID, sent+1)
	return next
}

func members(raffleID int64, names ...string) (reqs []raffle.EnterRequest) {
	for _, name := range names {
		reqs = append(reqs, raffle.EnterRequest{RaffleID: raffleID, MemberID: name, RequestID: raffle.RequestID(fmt.Appendf(nil, "%016s", name))})
	}
	return reqs
}

// open makes a raffle that the store takes for unchanged.
func (b *testBundle) open(t *testing.T) raffle.Raffle {
	t.Helper()
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "before"})
	return r
}

// enterAgain enters a and b, of whose entries nobody knows what has become, by the ids of
// their requests, so that each has one.
func (b *testBundle) enterAgain(t *testing.T, raffleID int64) {
	t.Helper()
	for _, req := range members(raffleID, "a", "b") {
		if res := b.enter(t, req); res.Err != nil {
			t.Errorf("%s again: %+v", req.MemberID, res)
		}
	}
	if stored := b.verify(t, raffleID); stored.EntryCount != 3 {
		t.Errorf("stored %+v", stored)
	}
}
