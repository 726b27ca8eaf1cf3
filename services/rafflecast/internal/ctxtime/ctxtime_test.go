package ctxtime

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleep_EndsWithTheTimeOrTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if !Sleep(ctx, 300*time.Millisecond) || time.Since(start) != 300*time.Millisecond {
			t.Errorf("slept for %v", time.Since(start))
		}
		if Sleep(ctx, time.Minute) || time.Since(start) != time.Second {
			t.Errorf("the context ended after %v", time.Since(start))
		}
		if Sleep(ctx, 0) {
			t.Error("the context has ended")
		}
	})
}
