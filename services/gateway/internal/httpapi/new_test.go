package httpapi

import (
	"net/http"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
)

// Whoever has just created a raffle opens it at once: its first odds are on the way.
func TestRaffle_IsAwaitedIfItIsNew(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports[:1], nil, func(b *testBundle) {
		for id, path := range map[int64]string{1: "/api/v1/raffles/1/odds", 2: "/api/v1/raffles/2/subscribe", 3: "/api/v1/raffles/subscribe?id=1&id=3"} {
			time.AfterFunc(100*time.Millisecond, func() { b.publish(finalUpdate(id, 1)) })
			if id == 3 {
				b.publish(finalUpdate(1, 2))
			}
			if resp := b.get(http.MethodGet, path); resp.StatusCode != http.StatusOK {
				b.t.Errorf("%s: %s", path, resp.Status)
			}
		}
		time.AfterFunc(100*time.Millisecond, func() { b.publish(update(4, 1)) })
		if _, err := b.api.PageSource(new(course.Recorder)).Raffle(pageRequest(b.t, "4"), "4"); err != nil {
			b.t.Errorf("its page: %v", err)
		}
	})
}

func TestRaffle_IsNotAwaitedForLong(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports[:1], nil, func(b *testBundle) {
		took := func() time.Duration {
			began := time.Now()
			b.refused(http.MethodGet, "/api/v1/raffles/9/odds", 404, "RAFFLE_NOT_FOUND")
			return time.Since(began)
		}
		if d := took(); d < newWait || d > 2*newWait {
			b.t.Errorf("refused after %v", d)
		}
		began := time.Now()
		b.refused(http.MethodGet, "/api/v1/raffles/subscribe?id=7&id=8&id=9", 404, "RAFFLE_NOT_FOUND")
		if d := time.Since(began); d > 2*newWait {
			b.t.Errorf("several are refused after %v", d)
		}
		for range maxWaiting { // as many requests wait as may
			b.api.waiting <- struct{}{}
		}
		if d := took(); d >= newWait {
			b.t.Errorf("with too many waiting: refused after %v", d)
		}
		for range maxWaiting {
			<-b.api.waiting
		}
		b.feed.notReady = true
		began = time.Now()
		b.refused(http.MethodGet, "/api/v1/raffles/9/odds", 503, "NOT_READY")
		if d := time.Since(began); d >= newWait {
			b.t.Errorf("not ready: refused after %v", d)
		}
	})
}
