package watch

import "time"

// done tells whether the client was told to stop.
func (r *record) done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stoppedBy
}

// allow gives every client its time to have the final odds, and returns the longest:
// one that waits to come back has its wait on top.
func (r *run) allow() (longest time.Duration) {
	for _, c := range r.clients {
		c.mu.Lock()
		c.allowed = r.cfg.Within
		if !c.open {
			c.allowed += c.wait
		}
		longest = max(longest, c.allowed)
		c.mu.Unlock()
	}
	return longest
}

// judge adds the faults that show only at the end. Call it once no client lives.
func (r *run) judge(last truth) {
	for _, c := range r.clients {
		switch late := c.finalAt.Sub(last.at); {
		case c.connects == 0:
			c.fault("never connected")
		case !c.final || c.version != last.version:
			c.fault("has version %d, the final one is %d", c.version, last.version)
		case late > c.allowed:
			c.fault("had the final odds %v late", late.Round(time.Millisecond))
		case !c.stoppedBy:
			c.fault("has the final odds, and was not told to stop")
		}
	}
}
