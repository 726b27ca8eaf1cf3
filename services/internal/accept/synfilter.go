package accept

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// refusedPerSecond is how many connections of one address may be refused, of which those
	// of three seconds may come at once, before the kernel drops its SYN packets.
	refusedPerSecond = 20
	// dropFor is for how long it does. TCP sends a SYN packet again after 1, 3 and 7 s
	// (https://www.rfc-editor.org/rfc/rfc6298), so a client that waits connects after 7 s.
	dropFor = 5 * time.Second
	// maxDropped bounds the addresses, since the kernel compares each SYN packet's with all.
	maxDropped = 500
	// filterInterval bounds how often the filter is changed.
	filterInterval = 50 * time.Millisecond
)

// synFilter is a filter of a listening socket, by which the kernel drops the SYN packets of
// addresses that go on to connect although they are refused: to accept and close a connection
// costs some 20 µs, to drop a packet next to nothing, and its client waits before it tries
// again. Its methods are safe for concurrent use.
type synFilter struct {
	socket syscall.RawConn
	lasts  time.Duration // how long an address is dropped

	mu      sync.Mutex
	until   map[netip.Addr]time.Time
	changed bool // since it was attached
	pending bool // it will be attached
	failed  bool // it can't be attached: connections are refused, as before
}

func newSYNFilter(socket syscall.RawConn) *synFilter {
	return &synFilter{socket: socket, lasts: dropFor, until: map[netip.Addr]time.Time{}}
}

// drop has an address dropped for a while, and reports whether it will be: not if it is
// already, or if too many others are.
func (f *synFilter) drop(address netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed || len(f.until) >= maxDropped || !f.until[address].IsZero() {
		return false
	}
	f.until[address] = time.Now().Add(f.lasts)
	f.changed = true
	f.schedule()
	return true
}

// schedule has the filter attached soon, unless that will happen anyway. The mutex
// is held.
func (f *synFilter) schedule() {
	if !f.pending {
		f.pending = true
		time.AfterFunc(filterInterval, f.attach)
	}
}

// attach attaches the filter as it should be now. That fails once the socket is closed; then
// nothing follows.
func (f *synFilter) attach() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = false
	now, before := time.Now(), len(f.until)
	maps.DeleteFunc(f.until, func(_ netip.Addr, until time.Time) bool { return !now.Before(until) })
	if f.changed = f.changed || len(f.until) < before; f.changed {
		f.failed = attachFilter(f.socket, slices.Collect(maps.Keys(f.until))) != nil
		f.changed = false
	}
	if len(f.until) > 0 && !f.failed {
		f.schedule()
	}
}
