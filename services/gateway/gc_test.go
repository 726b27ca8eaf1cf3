package gateway

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestReturnMemory_OnceAfterEachBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var opened, released atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			returnMemory(ctx, opened.Load, func() { released.Add(1) })
		}()
		synctest.Wait()
		for _, step := range []struct {
			opens int64
			want  int64 // in all
		}{
			{0, 0}, {burst / 2, 0}, {0, 0}, // too few
			{burst / 2, 0}, {burst, 0}, {burst, 0}, // a burst that goes on
			{0, 1}, {0, 1}, {0, 1}, // it is over
			{burst, 1}, {burst/10 - 1, 2}, {0, 2}, // over, but for stragglers
		} {
			opened.Add(step.opens)
			time.Sleep(burstLook)
			synctest.Wait()
			if got := released.Load(); got != step.want {
				t.Errorf("after %d connections: memory was returned %d times, want %d", opened.Load(), got, step.want)
			}
		}
		cancel()
		<-ended
	})
}
