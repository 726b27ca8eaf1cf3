// Package ratelimit bounds how often each of many clients may do something.
package ratelimit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxKeys is how many clients are remembered, some 200 bytes each.
const maxKeys = 100_000

// Limiter bounds the rate of each key. Nil bounds nothing. It is safe for concurrent use.
type Limiter[K comparable] struct {
	limit rate.Limit
	burst int
	half  int

	mu sync.Mutex
	// When young is full, old is forgotten; what is used again becomes young. Who is
	// forgotten may begin anew, so the number of keys that somebody can make up must be
	// small, or bounded in another way.
	young, old map[K]*rate.Limiter
}

// PerMinute returns a limiter of n a minute, which may also come all at once. It returns
// nil if n is 0.
func PerMinute[K comparable](n int) *Limiter[K] {
	if n == 0 {
		return nil
	}
	return newLimiter[K](rate.Limit(n)/60, n)
}

// PerSecond returns a limiter of n a second, of which burst may come at once. It returns
// nil if n is 0.
func PerSecond[K comparable](n float64, burst int) *Limiter[K] {
	if n == 0 {
		return nil
	}
	return newLimiter[K](rate.Limit(n), burst)
}

func newLimiter[K comparable](limit rate.Limit, burst int) *Limiter[K] {
	return &Limiter[K]{limit: limit, burst: burst, half: maxKeys / 2, young: map[K]*rate.Limiter{}}
}

// Allow counts one more of a key. If that is too much, it is not counted, and Allow
// returns the time after which it would be allowed.
func (l *Limiter[K]) Allow(key K) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	now := time.Now()
	reservation := l.of(key).ReserveN(now, 1)
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// of returns the limiter of a key.
func (l *Limiter[K]) of(key K) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.young[key]; one != nil {
		return one
	}
	one := l.old[key]
	if one == nil {
		one = rate.NewLimiter(l.limit, l.burst)
	}
	if len(l.young) >= l.half {
		l.old, l.young = l.young, map[K]*rate.Limiter{}
	}
	l.young[key] = one
	return one
}
