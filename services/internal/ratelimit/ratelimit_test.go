package ratelimit

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter_BoundsEachKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := PerMinute[string](6) // one in 10 s
		for range 6 {
			if _, ok := l.Allow("a"); !ok {
				t.Fatal("refused within the burst")
			}
		}
		for range 3 { // what is refused is not counted
			if wait, ok := l.Allow("a"); ok || wait != 10*time.Second {
				t.Fatalf("beyond the burst: %v, %t", wait, ok)
			}
		}
		if _, ok := l.Allow("b"); !ok {
			t.Error("another key is refused")
		}
		time.Sleep(10 * time.Second)
		if _, ok := l.Allow("a"); !ok {
			t.Error("refused after the wait")
		}
	})
}

func TestLimiter_IsBounded(t *testing.T) {
	t.Parallel()
	l := PerMinute[int](1)
	for i := range 2*maxKeys + 10 {
		l.Allow(i)
		if _, ok := l.Allow(-1); ok && i > 0 {
			t.Fatalf("a key that is used was forgotten after %d others", i)
		}
		if n := len(l.young) + len(l.old); n > maxKeys {
			t.Fatalf("%d keys are remembered", n)
		}
	}
}

func TestLimiter_NilBoundsNothing(t *testing.T) {
	t.Parallel()
	l := PerMinute[string](0)
	for range 1000 {
		if _, ok := l.Allow("a"); !ok {
			t.Fatal("refused")
		}
	}
}
