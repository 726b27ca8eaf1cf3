package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// lockedStore is a Store in which raffles from 100 on are locked until a time, and
// which waits as long for them as the database does.
type lockedStore struct {
	until time.Time
	waits atomic.Int32 // of batches
}

func (s *lockedStore) enter(reqs []raffle.EnterRequest, wait time.Duration) ([]raffle.EnterResult, error) {
	results := make([]raffle.EnterResult, len(reqs))
	waited := false
	for i, req := range reqs {
		results[i].Entry = raffle.Entry{RaffleID: req.RaffleID, MemberID: req.MemberID}
		if req.RaffleID < 100 {
			continue
		}
		if !waited {
			time.Sleep(min(wait, max(0, time.Until(s.until))))
			waited = true
		}
		if time.Now().Before(s.until) {
			results[i] = raffle.EnterResult{Err: raffle.ErrLocked}
		}
	}
	return results, nil
}

func (s *lockedStore) EnterBatch(_ context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	began := time.Now()
	defer func() {
		if time.Since(began) > 0 {
			s.waits.Add(1)
		}
	}()
	return s.enter(reqs, 250*time.Millisecond)
}

func (*lockedStore) EnterNext(context.Context, []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return nil, raffle.ErrNotNext
}

func (s *lockedStore) EnterLocked(_ context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return s.enter(reqs, time.Second)
}

func TestWriter_LockedRafflesHoldUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig
		counted := Outcome{}
		var mu sync.Mutex
		cfg.OnWritten = func(o Outcome) {
			mu.Lock()
			defer mu.Unlock()
			counted.Placed += o.Placed
			counted.Failed += o.Failed
			counted.Rejected += o.Rejected
		}
		cfg.Timeout = time.Minute
		store := &lockedStore{until: time.Now().Add(time.Hour)}
		w, stop := start(t, store, cfg)
		began := time.Now()
		var calls sync.WaitGroup
		const locked = 9 // raffles
		// A first attempt behind all others in the partition, then attempts in a lane
		// until the call may wait no longer, the last of which had to wait for the lane.
		const slowest = locked*250*time.Millisecond + maxHeld + laneWait + 2*time.Second
		for i := range locked {
			calls.Go(func() {
				_, err := w.Enter(t.Context(), raffle.EnterRequest{RaffleID: 100 + int64(i), MemberID: "m"})
				if took := time.Since(began); !errors.Is(err, raffle.ErrLocked) || took > slowest {
					t.Errorf("locked raffle %d after %v: %v", i, took, err)
				}
			})
		}
		synctest.Wait()
		const free = 40
		for i := range free { // four seconds
			at := time.Now()
			// The calls of a locked raffle go on coming.
			calls.Go(func() {
				if _, err := w.Enter(t.Context(), raffle.EnterRequest{RaffleID: 100, MemberID: "m"}); !errors.Is(err, raffle.ErrLocked) {
					t.Error(err)
				}
			})
			_, err := w.Enter(t.Context(), raffle.EnterRequest{RaffleID: 1, MemberID: fmt.Sprint(i)})
			if took := time.Since(at); err != nil || took > time.Second {
				t.Errorf("free raffle after %v: %v", took, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		calls.Wait()
		stop()
		if counted.Placed != free || counted.Rejected != 0 {
			t.Errorf("counted %+v", counted)
		}
		if n := store.waits.Load(); n > 5 { // a batch has three calls
			t.Errorf("the partition has waited for locked raffles %d times", n)
		}
		if n := w.Waiting(); n != 0 {
			t.Errorf("%d calls wait", n)
		}
	})
}

func TestWriter_LockedRaffleIsEnteredOnceItIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &lockedStore{until: time.Now().Add(900 * time.Millisecond)}
		w, _ := start(t, store, testConfig)
		began := time.Now()
		if _, err := w.Enter(t.Context(), raffle.EnterRequest{RaffleID: 100, MemberID: "m"}); err != nil || time.Since(began) != 900*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		time.Sleep(2 * cooldown)
		if n := w.held.count.Load(); n != 0 {
			t.Errorf("%d raffles still have a lane", n)
		}
	})
}

func TestWriter_StopWritesCallsForLockedRaffles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, stop := start(t, &lockedStore{until: time.Now().Add(time.Second)}, testConfig)
		f := w.Submit(t.Context(), raffle.EnterRequest{RaffleID: 100, MemberID: "m"})
		time.Sleep(300 * time.Millisecond)
		stop()
		if _, err := f.Result(); err != nil {
			t.Error(err)
		}
	})
}
