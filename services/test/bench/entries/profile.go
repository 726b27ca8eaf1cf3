//go:build unix

package bench

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// profile takes a CPU profile of the server that a workload calls, if profiles are
// wanted. The returned function waits for it.
func (b *bench) profile(ctx context.Context, w *workload) (wait func()) {
	server := b.serverOf(w)
	if b.cfg.Profiles == "" || server == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		seconds := max(1, int(b.cfg.Duration.Seconds()))
		file := filepath.Join(b.cfg.Profiles, w.name+".pprof")
		if err := measure.Profile(ctx, server.ops, seconds, file); err != nil {
			fmt.Fprintln(b.log, "profile:", err)
		}
	}()
	return func() { <-done }
}
