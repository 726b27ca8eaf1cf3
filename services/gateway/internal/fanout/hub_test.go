package fanout

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

const spacing = 50 * time.Millisecond

func update(raffleID, version int64) *odds.Update {
	return &odds.Update{RaffleID: raffleID, Version: version}
}

// took returns raffle and version of what the subscription has.
func took(s *Subscription) [][2]int64 {
	var got [][2]int64
	for _, u := range s.Take() {
		got = append(got, [2]int64{u.RaffleID, u.Version})
	}
	return got
}

func TestTheFirstGoesOutAtOnceAndTheLastAlways(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(spacing)
		s := h.Subscribe(1)
		for v := range int64(5) {
			h.Publish(update(1, v+1))
		}
		<-s.C
		if got := took(s); !slices.Equal(got, [][2]int64{{1, 1}}) {
			t.Errorf("at once: %v", got)
		}
		time.Sleep(spacing - 1)
		synctest.Wait()
		if got := took(s); got != nil {
			t.Errorf("too early: %v", got)
		}
		time.Sleep(time.Nanosecond)
		<-s.C
		if got := took(s); !slices.Equal(got, [][2]int64{{1, 5}}) {
			t.Errorf("after the spacing: %v", got)
		}
	})
}

func TestASlowSubscriberHoldsTheNewestOfEachRaffle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(spacing)
		slow := h.Subscribe(2, 1)
		quick := h.Subscribe(1)
		for v := range int64(100) {
			h.Publish(update(1, v+1))
			h.Publish(update(2, v+1))
			h.Publish(update(3, v+1))
			time.Sleep(spacing)
			synctest.Wait()
			if got := took(quick); !slices.Equal(got, [][2]int64{{1, v + 1}}) {
				t.Errorf("quick: %v", got)
			}
		}
		<-slow.C
		if got := took(slow); !slices.Equal(got, [][2]int64{{1, 100}, {2, 100}}) {
			t.Errorf("slow: %v", got)
		}
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(spacing)
		a, b := h.Subscribe(1, 2), h.Subscribe(1)
		h.Publish(update(1, 1))
		h.Publish(update(1, 2)) // held
		a.Close()
		a.Close()
		b.Close()
		if len(h.topics) != 0 {
			t.Errorf("%d topics are left", len(h.topics))
		}
		h.Publish(update(1, 3))
	})
}
