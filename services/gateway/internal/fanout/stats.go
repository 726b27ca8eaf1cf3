package fanout

import (
	"slices"
	"sync/atomic"
)

// Stats is what a hub has done and does.
type Stats struct {
	Connections int   // open now
	Behind      int   // of them, whose client takes less than comes
	Delivered   int64 // updates that were written, to any connection
	Ended       map[Reason]int64
}

// stats are a shard's, for others to read.
type stats struct {
	connections, behind, delivered atomic.Int64
	reasons                        [8]atomic.Int64 // by Reasons
}

var reasons = Reasons()

func (s *stats) ended(why Reason) { s.reasons[slices.Index(reasons, why)].Add(1) }

// report makes the shard's numbers known, once a turn.
func (s *shard) report() {
	s.stats.connections.Store(int64(s.conns))
	s.stats.behind.Store(int64(s.full))
	if s.delivered > 0 {
		s.stats.delivered.Add(s.delivered)
		s.delivered = 0
	}
}

// Stats returns the numbers of all shards together.
func (h *Hub) Stats() Stats {
	sum := Stats{Ended: make(map[Reason]int64)}
	for _, s := range h.shards {
		sum.Connections += int(s.stats.connections.Load())
		sum.Behind += int(s.stats.behind.Load())
		sum.Delivered += s.stats.delivered.Load()
		for i, why := range reasons {
			sum.Ended[why] += s.stats.reasons[i].Load()
		}
	}
	return sum
}
