package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// lock locks the rows that a statement selects until the test ends.
func (b *testBundle) lock(t *testing.T, query string, args ...any) {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestStore_EnterBatchFailsOnlyForTheLockedRaffle(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"the raffle": `SELECT FROM raffles WHERE id = $1 FOR UPDATE`,
		"an entry":   `INSERT INTO entries (raffle_id, member_id, ordinal, created_at) VALUES ($1, 'm', 1, now())`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var ids []int64
			for range 5 {
				ids = append(ids, b.create(t, raffle.Raffle{}).ID)
			}
			locked := ids[2]
			b.lock(t, query, locked)
			var reqs []raffle.EnterRequest
			for _, id := range append(ids, 99) {
				reqs = append(reqs, raffle.EnterRequest{RaffleID: id, MemberID: "m"})
			}
			results, err := b.EnterBatch(t.Context(), reqs)
			if err != nil {
				t.Fatal(err)
			}
			for i, res := range results {
				switch id := reqs[i].RaffleID; id {
				case locked:
					if !errors.Is(res.Err, raffle.ErrLocked) {
						t.Errorf("the locked raffle: %+v", res)
					}
				case 99:
					if !isNotFound(res.Err) {
						t.Errorf("the raffle that does not exist: %+v", res)
					}
				default:
					if res.Err != nil || res.Entry.RaffleID != id || b.verify(t, id).EntryCount != 1 {
						t.Errorf("raffle %d: %+v", id, res)
					}
				}
			}
		})
	}
}

func TestStore_LockedRaffleLeavesConnectionsToOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	locked, other := b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{})
	b.lock(t, `SELECT FROM raffles WHERE id = $1 FOR UPDATE`, locked.ID)
	cfg := b.pool.Config().Copy()
	cfg.MaxConns = 8
	pool, err := postgres.NewPool(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := postgres.New(pool, pool, b)
	var waiting sync.WaitGroup
	for i := range 32 {
		waiting.Go(func() {
			began := time.Now()
			var err error
			if i%2 == 0 {
				_, err = store.Withdraw(t.Context(), raffle.WithdrawRequest{RaffleID: locked.ID, MemberID: fmt.Sprint(i)})
			} else {
				_, err = store.Close(t.Context(), locked.ID, raffle.RequestID{})
			}
			if took := time.Since(began); !errors.Is(err, raffle.ErrLocked) || took > 3*time.Second {
				t.Errorf("after %v: %v", took, err)
			}
		})
	}
	for began := time.Now(); time.Since(began) < 800*time.Millisecond; {
		if _, err := store.Get(t.Context(), other.ID); err != nil {
			t.Errorf("Get: %v", err)
		}
		if _, err := store.Update(t.Context(), other.ID, raffle.Change{Title: new("B")}, raffle.RequestID{}); err != nil {
			t.Errorf("Update: %v", err)
		}
		// Two of its changes wait. Others have all the rest of the connections, so that they
		// wait for none, however slow the machine is.
		if n := pool.Stat().AcquiredConns(); n > 2 {
			t.Errorf("the locked raffle holds %d connections", n)
		}
	}
	waiting.Wait()
	if n := store.GatesInUse(); n != 0 {
		t.Errorf("%d gates are left", n)
	}
}
