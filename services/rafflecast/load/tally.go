package load

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// tally counts what happens. Safe for concurrent use.
type tally struct {
	inFlight     atomic.Int64 // requests without a final answer
	acknowledged atomic.Int64
	failures     atomic.Int64 // attempts that ended in an error
	repeated     atomic.Int64 // requests sent twice at once
	givenUp      atomic.Int64 // requests given up early
	unknown      atomic.Int64 // requests without a final answer after all retries

	mu       sync.Mutex
	refused  map[string]int64 // requests, by reason
	retried  map[string]int64 // attempts, by reason
	latency  [shards]shard
	finished atomic.Int64 // when the last answer came, in nanoseconds since 1970
}

// shards spread the histogram's lock over the senders.
const shards = 8

type shard struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram // in microseconds
}

// longest is the longest latency that is told from longer ones, in microseconds.
const longest = int64(10 * time.Minute / time.Microsecond)

func newTally() *tally {
	t := &tally{refused: map[string]int64{}, retried: map[string]int64{}}
	for i := range t.latency {
		t.latency[i].histogram = hdrhistogram.New(1, longest, 3)
	}
	return t
}

// answered notes the final answer to request n.
func (t *tally) answered(n int64, a answer, intended time.Time) {
	now := time.Now()
	if a.refused() {
		t.failures.Add(1)
		t.mu.Lock()
		t.refused[a.reason]++
		t.mu.Unlock()
	} else {
		t.acknowledged.Add(1)
	}
	t.finished.Store(now.UnixNano())
	s := &t.latency[n%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.histogram.RecordValue(min(now.Sub(intended).Microseconds(), longest)) // fails only beyond longest
}

// failed notes an attempt that will be, or could have been, repeated.
func (t *tally) failed(a answer) {
	t.failures.Add(1)
	t.mu.Lock()
	t.retried[a.reason]++
	t.mu.Unlock()
}

// histogram returns all latencies, in microseconds.
func (t *tally) histogram() *hdrhistogram.Histogram {
	all := hdrhistogram.New(1, longest, 3)
	for i := range t.latency {
		s := &t.latency[i]
		s.mu.Lock()
		all.Merge(s.histogram)
		s.mu.Unlock()
	}
	return all
}

func (t *tally) reasons() (refused, retried map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.refused), maps.Clone(t.retried)
}
