package faults

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// clock is the clock of PostgreSQL, which libfaketime (Debian: faketime) can put ahead
// or back, from the next start of the server on. To change it while the server runs,
// libfaketime would have to read a file wherever the time is asked for, which
// PostgreSQL does in signal handlers: it allocates memory for that, and the heap of a
// server that is interrupted in malloc was corrupted by it.
type clock struct {
	library string // empty: there is none, and the clock is the machine's

	mu     sync.Mutex
	offset time.Duration
}

func newClock() *clock {
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		return &clock{}
	}
	return &clock{library: found[0]}
}

// environment returns what a process needs to go by the clock.
func (c *clock) environment() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.offset == 0 {
		return nil
	}
	return []string{
		"LD_PRELOAD=" + c.library, fmt.Sprintf("FAKETIME=%+.0fs", c.offset.Seconds()),
		"FAKETIME_DONT_RESET=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
	}
}

// set puts the clock ahead of the machine's by a number of seconds, which may be
// negative.
func (c *clock) set(offset time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset
}
