package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestReturnMemory_OnceAfterEachBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var opened int64
		released := 0
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			returnMemory(ctx, func() int64 { return opened }, func() { released++ })
		}()
		synctest.Wait()
		for _, step := range []struct {
			opens int64
			want  int // in all
		}{
			{0, 0}, {burst / 2, 0}, {0, 0}, // too few
			{burst / 2, 0}, {burst, 0}, {burst, 0}, // a burst that goes on
			{0, 1}, {0, 1}, {0, 1}, // it is over
			{burst, 1}, {burst/10 - 1, 2}, {0, 2}, // over, but for stragglers
		} {
			opened += step.opens
			time.Sleep(burstLook)
			synctest.Wait()
			if released != step.want {
				t.Errorf("after %d connections: memory was returned %d times, want %d", opened, released, step.want)
			}
		}
		cancel()
		<-ended
	})
}
