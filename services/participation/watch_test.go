package participation

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// probed is a database whose probes fail with err, or wait for their timeout if it is nil.
type probed struct {
	err    error
	resets int
}

func (p *probed) Reset() { p.resets++ }

func (p *probed) Probe(ctx context.Context) error {
	if p.err != nil {
		return p.err
	}
	<-ctx.Done()
	return ctx.Err()
}

// A database that still answers calls is slow, even if it is too slow for probes.
func TestDatabaseWatch_CountsTheAnswersOfASlowDatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		answers bool
		want    bool // whether it counts as available
	}{
		"vanished": {}, "slow": {answers: true, want: true}, "a standby": {err: errors.New("it is read only"), answers: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			store := &probed{err: c.err}
			w := newDatabaseWatch(store, slog.New(slog.DiscardHandler))
			w.available()
			var told error
			w.onProbed = func(unavailable error) { told = unavailable }
			go w.run(ctx)
			for range 10 {
				time.Sleep(2 * time.Second) // by the test's clock
				if c.answers {
					w.hasAnswered()
				}
			}
			got := w.ready()
			cancel()
			synctest.Wait() // for the end of run
			if (got == nil) != c.want || (told == nil) != c.want {
				t.Errorf("%s: %v, %v", name, got, told)
			}
			if want := map[bool]int{false: 1}[c.want]; store.resets != want {
				t.Errorf("%s: connections were replaced %d times, want %d", name, store.resets, want)
			}
		})
	}
}
