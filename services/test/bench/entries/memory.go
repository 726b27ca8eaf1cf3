//go:build unix

package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/load"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// million is the unit of the memory test.
const million = 1_000_000

// memoryUse is the service's resident memory, in bytes: the averages over the second
// million entries and over the last million, and the maximum.
type memoryUse struct {
	early, late, most int64
	rate              float64 // entries per second
}

// measureMemory places many millions of entries by stream while it samples the
// service's memory.
func (b *bench) measureMemory(ctx context.Context) (*memoryUse, error) {
	total := int64(b.cfg.Million) * million
	fmt.Fprintf(b.log, "memory over %d entries\n", total)
	cfg := b.loadConfig(&workload{mode: load.Stream, callers: 1000})
	cfg.Count, cfg.Duration = int(total), 0
	conns, err := load.Dial(cfg.Target, cfg.Connections)
	if err != nil {
		return nil, err
	}
	defer conns.Close()
	generator, err := load.Prepare(ctx, cfg, conns)
	if err != nil {
		return nil, err
	}
	sampler := &memorySampler{pid: b.service.pid, total: total}
	stop := sampler.start(generator.Acknowledged)
	result, err := generator.Send(ctx, io.Discard)
	stop()
	switch {
	case err != nil:
		return nil, err
	case sampler.err != nil:
		return nil, sampler.err
	case result.Acknowledged != total:
		return nil, fmt.Errorf("%w: %d of %d entries acknowledged", errNotKept, result.Acknowledged, total)
	}
	if err := generator.Verify(ctx, b.database.server.URL()); err != nil {
		return nil, err
	}
	return &memoryUse{early: mean(sampler.early), late: mean(sampler.late), most: sampler.most, rate: result.Rate()}, nil
}

// memorySampler samples a process's memory.
type memorySampler struct {
	pid         int
	total       int64
	early, late []int64
	most        int64
	err         error
}

// start samples until stop is called, which waits for the last sample. entries
// returns how many entries there are.
func (s *memorySampler) start(entries func() int64) (stop func()) {
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.sample(entries())
			case <-stopping:
				return
			}
		}
	}()
	return func() { close(stopping); <-stopped }
}

func (s *memorySampler) sample(entries int64) {
	bytes, err := measure.Resident(s.pid)
	if err != nil {
		s.err = err
		return
	}
	s.most = max(s.most, bytes)
	if million <= entries && entries < 2*million {
		s.early = append(s.early, bytes)
	}
	if s.total-million <= entries {
		s.late = append(s.late, bytes)
	}
}

func mean(values []int64) int64 {
	var sum int64
	for _, v := range values {
		sum += v
	}
	return sum / int64(max(1, len(values)))
}
