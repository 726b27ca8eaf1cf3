package fanout

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// poll starts a long poll for a version of raffle 1 newer than 5, and returns a channel
// on which it tells how long it took.
func poll(t *testing.T, ctx context.Context, hub *Hub, d time.Duration) <-chan time.Duration {
	t.Helper()
	took := make(chan time.Duration, 1)
	from := time.Now()
	go func() {
		hub.Wait(ctx, &odds.Update{RaffleID: 1, Epoch: testEpoch, Version: 5, Life: 1}, d)
		took <- time.Since(from)
	}()
	synctest.Wait()
	return took
}

func expectOpen(t *testing.T, hub *Hub, want int) {
	t.Helper()
	synctest.Wait()
	if n := hub.Stats().Connections; n != want {
		t.Errorf("%d are open, want %d", n, want)
	}
}

func TestHub_Wait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		hub, err := NewHub(cfg, DisableDetach)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- hub.Run(ctx) }()

		cfg.Cache.Put(update(1, 4))
		answered := poll(t, t.Context(), hub, time.Minute)
		time.Sleep(time.Second)
		cfg.Cache.Put(update(1, 5)) // not newer than what the client has
		expectOpen(t, hub, 1)
		time.Sleep(time.Second)
		cfg.Cache.Put(update(2, 9)) // another raffle
		expectOpen(t, hub, 1)
		time.Sleep(time.Second)

		timedOut := poll(t, t.Context(), hub, 2*time.Second)
		gone, leave := context.WithCancel(t.Context())
		left := poll(t, gone, hub, time.Minute)
		expectOpen(t, hub, 3)
		if took := <-timedOut; took != 2*time.Second {
			t.Errorf("without news it took %v", took)
		}
		leave()
		if took := <-left; took != 2*time.Second {
			t.Errorf("the client left after 2 s, it took %v", took)
		}
		cfg.Cache.Put(update(1, 6))
		if took := <-answered; took != 5*time.Second {
			t.Errorf("the news came after 5 s, it took %v", took)
		}
		if took := <-poll(t, t.Context(), hub, time.Minute); took != 0 {
			t.Errorf("with news at once it took %v", took)
		}
		expectOpen(t, hub, 0)
		ended := hub.Stats().Ended
		if ended[PollAnswered] != 2 || ended[PollTimeout] != 1 || ended[ClientGone] != 1 {
			t.Errorf("ended: %v", ended)
		}
		stop()
		<-ran
	})
}

func TestHub_WaitEndsWhenDrained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Cache.Put(update(1, 5))
		hub, err := NewHub(cfg, DisableDetach)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- hub.Run(ctx) }()
		const polls, window = 100, 20 * time.Second
		for range polls {
			poll(t, t.Context(), hub, time.Minute)
		}
		drained := make(chan struct{})
		go func() { hub.Drain(t.Context(), window); close(drained) }()
		time.Sleep(window / 2)
		if n := hub.Open(); n < polls/4 || n > polls*3/4 {
			t.Errorf("%d of %d are open in the middle of the window", n, polls)
		}
		if took := <-poll(t, t.Context(), hub, time.Minute); took != 0 {
			t.Errorf("a new one took %v", took)
		}
		time.Sleep(window/2 + 1)
		expectOpen(t, hub, 0)
		<-drained
		if n := hub.Stats().Ended[GoingAway]; n != polls {
			t.Errorf("%d ended for draining", n)
		}
		stop()
		<-ran
	})
}

func TestHub_WaitEndsAtStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Cache.Put(update(1, 5))
		hub, err := NewHub(cfg, DisableDetach)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- hub.Run(ctx) }()
		took := poll(t, t.Context(), hub, time.Minute)
		hub.enter() // a connection whose handler has not handed it over yet
		go hub.Drain(t.Context(), time.Hour)
		synctest.Wait()
		stop()
		if d := <-took; d > 0 {
			t.Errorf("it took %v", d)
		}
		synctest.Wait()
		select {
		case <-ran:
			t.Error("Run has returned while a connection is open")
		default:
		}
		hub.exit()
		<-ran
	})
}
