package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

func TestSchedule_KeepsTheRateThroughAStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(100, 0, time.Second)
		start := time.Now()
		for n := range int64(100) {
			got, due, ok := s.take(t.Context())
			if want := time.Duration(n) * 10 * time.Millisecond; !ok || got != n || due.Sub(start) != want {
				t.Fatalf("request %d: %d, %v, %v; want it due at %v", n, got, due.Sub(start), ok, want)
			}
			if n == 10 {
				time.Sleep(300 * time.Millisecond) // of the bubble's clock: the service stalls
			}
			late := time.Since(due)
			if stalled := n >= 10 && n < 40; stalled != (late > 0) {
				t.Errorf("request %d is %v late", n, late)
			}
		}
		if _, _, ok := s.take(t.Context()); ok {
			t.Error("more requests than fit the duration")
		}
	})
}

func TestSchedule_EndsAtTheCount(t *testing.T) {
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

func TestSchedule_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		s := newSchedule(1, 0, 0)
		s.take(ctx)
		if _, _, ok := s.take(ctx); ok {
			t.Error("another request")
		}
	})
}

func TestAnswer_BacksOffAsTheServiceAsks(t *testing.T) {
	t.Parallel()
	for range 100 {
		withDelay := answer{code: codes.ResourceExhausted, retryDelay: 100 * time.Millisecond}
		if d := withDelay.backoff(7); d < 100*time.Millisecond || d >= 200*time.Millisecond {
			t.Fatalf("with a delay of 100ms: %v", d)
		}
		without := answer{code: codes.Unavailable}
		if d := without.backoff(3); d < 4*minBackoff || d >= 8*minBackoff {
			t.Fatalf("after three attempts: %v", d)
		}
		if d := without.backoff(900); d > 2*maxBackoff {
			t.Fatalf("after many attempts: %v", d)
		}
	}
}
