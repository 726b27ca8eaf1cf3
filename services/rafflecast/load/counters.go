package load

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// counters count what happens. Safe for concurrent use.
type counters struct {
	inFlight     atomic.Int64 // requests without a final answer
	acknowledged atomic.Int64 // requests
	failures     atomic.Int64 // attempts that ended in an error
	repeated     atomic.Int64 // requests that were sent twice at once
	cancelled    atomic.Int64 // requests that were sent again before their answer
	unknown      atomic.Int64 // requests without a final answer after all retries

	mu         sync.Mutex
	refused    map[string]int64        // requests, by reason
	retried    map[string]int64        // attempts, by reason
	latency    *hdrhistogram.Histogram // of final answers, in microseconds
	lastAnswer time.Time
}

// maxLatency is the longest latency that is recorded as it is, in microseconds.
const maxLatency = int64(10 * time.Minute / time.Microsecond)

func newCounters() *counters {
	return &counters{refused: map[string]int64{}, retried: map[string]int64{}, latency: hdrhistogram.New(1, maxLatency, 3)}
}

// answered records the final answer to a request that was due at a time.
func (c *counters) answered(a answer, due time.Time) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.refused() {
		c.failures.Add(1)
		c.refused[a.reason]++
	} else {
		c.acknowledged.Add(1)
	}
	c.lastAnswer = now
	_ = c.latency.RecordValue(min(now.Sub(due).Microseconds(), maxLatency)) // fails only above maxLatency
}

// failed records an attempt without a final answer.
func (c *counters) failed(a answer) {
	c.failures.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retried[a.reason]++
}

// Result is what became of a load's requests.
type Result struct {
	Acknowledged int64
	Refused      map[string]int64        // requests that failed for good, by reason
	Retried      map[string]int64        // attempts that failed, by reason
	Repeated     int64                   // requests that were sent twice at once
	Cancelled    int64                   // requests that were sent again before their answer
	Unknown      int64                   // requests without a final answer after all retries
	Elapsed      time.Duration           // until the last answer
	Latency      *hdrhistogram.Histogram // in microseconds
}

// Rate returns acknowledged entries per second.
func (r *Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Acknowledged) / r.Elapsed.Seconds()
}

// result returns the counts of requests that were sent from start on.
func (c *counters) result(start time.Time) Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Result{
		Acknowledged: c.acknowledged.Load(), Refused: maps.Clone(c.refused), Retried: maps.Clone(c.retried),
		Repeated: c.repeated.Load(), Cancelled: c.cancelled.Load(), Unknown: c.unknown.Load(),
		Latency: hdrhistogram.Import(c.latency.Export()),
	}
	if !c.lastAnswer.IsZero() {
		r.Elapsed = max(c.lastAnswer.Sub(start), time.Millisecond)
	}
	return r
}
