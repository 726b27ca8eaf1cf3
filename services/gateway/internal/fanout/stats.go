package fanout

import "sync/atomic"

// Reason is why a connection ended.
type Reason uint8

// The reasons.
const (
	Finished        Reason = iota // all its raffles are final
	MaxLifetime                   // it has reached its lifetime
	ClientGone                    // the client closed it or cannot be reached
	GoingAway                     // the hub drained or stopped
	Stalled                       // it took nothing for the write timeout
	UnexpectedInput               // the client sent too much after its request
	Failed                        // the system could not serve it
	Rebalanced                    // another instance has more room
	PollAnswered                  // a long poll had news
	PollTimeout                   // a long poll had none
	numReasons
)

var reasonNames = [numReasons]string{
	Finished: "final", MaxLifetime: "lifetime", ClientGone: "client", GoingAway: "draining", Stalled: "stalled",
	UnexpectedInput: "unexpected_input", Failed: "error", Rebalanced: "rebalanced", PollAnswered: "poll_answered", PollTimeout: "poll_timeout",
}

// String returns the reason's name in metrics.
func (r Reason) String() string { return reasonNames[r] }

// Stats are the figures of a hub.
type Stats struct {
	Connections int               // open streams and long polls
	Blocked     int               // open streams whose socket buffer is full
	Delivered   int64             // updates that were sent live, to any connection
	Ended       [numReasons]int64 // connections that have ended, by Reason
}

// endings counts the connections that have ended, by reason.
type endings [numReasons]atomic.Int64

func (e *endings) add(why Reason) { e[why].Add(1) }

// shardStats are a shard's figures, for other goroutines to read.
type shardStats struct {
	blocked, delivered atomic.Int64
	endings            endings
}

// Stats returns the figures of all shards together.
func (h *Hub) Stats() Stats {
	sum := Stats{Connections: h.Open()}
	count := func(e *endings) {
		for why := range e {
			sum.Ended[why] += e[why].Load()
		}
	}
	count(&h.polls)
	for _, s := range h.shards {
		sum.Blocked += int(s.stats.blocked.Load())
		sum.Delivered += s.stats.delivered.Load()
		count(&s.stats.endings)
	}
	return sum
}
