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
	// of three seconds may come at once, before the kernel drops what follows.
	refusedPerSecond = 20
	// silenced is for how long it does. A client whose first packet is dropped sends another
	// one after 1, 3 and 7 s (RFC 6298), so the patient connect soon after.
	silenced = 5 * time.Second
	// maxSilenced bounds the addresses, which the kernel compares with each new connection's.
	maxSilenced = 500
	// filterInterval bounds how often the kernel is told.
	filterInterval = 50 * time.Millisecond
)

// silence has the kernel drop the first packet of connections from addresses that go on
// although they are refused: to accept and close a connection costs some 20 µs, to drop a
// packet next to nothing, and its client waits before it tries again.
type silence struct {
	socket syscall.RawConn // that listens
	lasts  time.Duration

	mu      sync.Mutex
	until   map[netip.Addr]time.Time
	changed bool // since the kernel was told
	pending bool // the kernel will be told
	failed  bool // the kernel can't drop them: they are refused, as before
}

func newSilence(socket syscall.RawConn) *silence {
	return &silence{socket: socket, lasts: silenced, until: map[netip.Addr]time.Time{}}
}

// add silences an address for a while, and reports whether it was not silenced already, or
// too many others are.
func (s *silence) add(address netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed || len(s.until) >= maxSilenced || !s.until[address].IsZero() {
		return false
	}
	s.until[address] = time.Now().Add(s.lasts)
	s.changed = true
	s.update(filterInterval)
	return true
}

// update has the kernel told whom to silence after a while, unless that will happen anyway.
// The mutex is held.
func (s *silence) update(after time.Duration) {
	if !s.pending {
		s.pending = true
		time.AfterFunc(after, s.tell)
	}
}

// tell tells the kernel whom to silence. That fails once the socket is closed; then nothing
// follows.
func (s *silence) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = false
	now, before := time.Now(), len(s.until)
	maps.DeleteFunc(s.until, func(_ netip.Addr, until time.Time) bool { return !now.Before(until) })
	if s.changed = s.changed || len(s.until) < before; s.changed {
		s.failed = drop(s.socket, slices.Collect(maps.Keys(s.until))) != nil
		s.changed = false
	}
	if len(s.until) > 0 && !s.failed {
		s.update(filterInterval)
	}
}
