package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

func TestARateIsKeptAndAStallCountsAsLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(100, 0, time.Second)
		start := time.Now()
		for n := range int64(100) {
			got, intended, ok := s.take(t.Context())
			if want := time.Duration(n) * 10 * time.Millisecond; !ok || got != n || intended.Sub(start) != want {
				t.Fatalf("request %d: %d, %v, %v; want it meant for %v", n, got, intended.Sub(start), ok, want)
			}
			if n == 10 {
				time.Sleep(300 * time.Millisecond) // the service stalls
			}
			late := time.Since(intended)
			if stalled := n >= 10 && n < 40; stalled != (late > 0) {
				t.Errorf("request %d is %v late", n, late)
			}
		}
		if _, _, ok := s.take(t.Context()); ok {
			t.Error("more requests than fit the duration")
		}
	})
}

func TestACountBoundsTheRequests(t *testing.T) {
	t.Parallel()
	s := newSchedule(0, 3, 0)
	for range 3 {
		if _, _, ok := s.take(t.Context()); !ok {
			t.Fatal("too few")
		}
	}
	if _, _, ok := s.take(t.Context()); ok {
		t.Error("too many")
	}
}

func TestASenderThatWaitsForItsTimeStopsWhenTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		s := newSchedule(1, 0, 0)
		s.take(ctx)
		if _, _, ok := s.take(ctx); ok {
			t.Error("went on")
		}
	})
}

func TestAPauseIsWhatTheServiceAskedForAndAtMostTwice(t *testing.T) {
	t.Parallel()
	for range 100 {
		asked := answer{code: codes.ResourceExhausted, delay: 100 * time.Millisecond}
		if p := asked.pause(7); p < 100*time.Millisecond || p >= 200*time.Millisecond {
			t.Fatalf("asked for 100ms, pauses %v", p)
		}
		silent := answer{code: codes.Unavailable}
		if p := silent.pause(3); p < 4*firstDelay || p >= 8*firstDelay {
			t.Fatalf("third attempt pauses %v", p)
		}
		if p := silent.pause(900); p > 2*maxDelay {
			t.Fatalf("late attempt pauses %v", p)
		}
	}
}
