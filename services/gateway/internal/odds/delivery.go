package odds

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Delivery follows an update that was received live to the connections. Several
// parts of the fan-out share it, each with its own connections; its methods are
// safe for concurrent use.
//
// A part that skips the update in favour of a newer one never calls Done, so that
// the delivery never ends: an update that was conflated away anywhere was not
// delivered to all, and nothing is reported of it.
type Delivery struct {
	Received time.Time         // when the update came from NATS
	Origin   trace.SpanContext // of the publisher; invalid if it is not traced

	pending     atomic.Int32 // parts that have not called Done
	connections atomic.Int64
}

// Start sets how many parts the update goes out in. Each calls Done at most once.
func (d *Delivery) Start(parts int) { d.pending.Store(int32(parts)) }

// Done records that a part has written the update to this many connections, and
// that none of its connections is left to be written to. It reports whether this
// was the last part.
func (d *Delivery) Done(connections int) (last bool) {
	d.connections.Add(int64(connections))
	return d.pending.Add(-1) == 0
}

// Connections returns how many connections the update was written to.
func (d *Delivery) Connections() int { return int(d.connections.Load()) }
