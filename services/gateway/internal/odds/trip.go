package odds

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Trip follows an update that was heard live to the connections. It is shared by
// those who bring it there, each with a part of the connections; its methods are
// safe for concurrent use.
type Trip struct {
	Heard  time.Time         // when it came from NATS
	Origin trace.SpanContext // where it comes from; not valid where that is not traced

	parts      atomic.Int32 // that have not arrived, and one until Begin's caller has
	written    atomic.Int64
	superseded atomic.Bool
}

// Begin says in how many parts the update goes out. Each of them, and the caller
// for itself, then says once that it has arrived.
func (t *Trip) Begin(parts int) { t.parts.Store(int32(parts) + 1) }

// Arrive says that a part has offered the update to all of its connections,
// written to so many of them, and tells whether it was the last part.
func (t *Trip) Arrive(written int) (last bool) {
	t.written.Add(int64(written))
	return t.parts.Add(-1) == 0
}

// Supersede says that a part gave up in favour of a newer update. It is a way to
// arrive.
func (t *Trip) Supersede() (last bool) {
	t.superseded.Store(true)
	return t.Arrive(0)
}

// Written returns how many connections it was written to; complete is false where
// a newer update overtook it on the way to others.
func (t *Trip) Written() (n int, complete bool) { return int(t.written.Load()), !t.superseded.Load() }
