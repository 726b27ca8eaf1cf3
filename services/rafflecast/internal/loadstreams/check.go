package loadstreams

import "time"

// allowTime sets how long after the raffle's end each client may receive the final
// odds, and returns the longest such time. A client that waits to reconnect has its
// wait added.
func (r *run) allowTime() (longest time.Duration) {
	for _, c := range r.clients {
		h := c.history
		h.mu.Lock()
		h.allowed = r.cfg.Within
		if !h.connected {
			h.allowed += h.retryIn
		}
		longest = max(longest, h.allowed)
		h.mu.Unlock()
	}
	return longest
}

// check records the faults that show only at the end. Call it after allowTime, and
// once every client has ended.
func (r *run) check(end raffleEnd) {
	for _, c := range r.clients {
		h := c.history
		switch late := h.finalAt.Sub(end.noticedAt); {
		case h.counts.connects == 0:
			h.fault("never connected")
		case !h.final || h.version != end.version:
			h.fault("has version %d, but the final one is %d", h.version, end.version)
		case late > h.allowed:
			h.fault("received the final odds %v after the raffle's end", late.Round(time.Millisecond))
		case !h.stopped:
			h.fault("has the final odds, but was not stopped by 204")
		}
		if err := h.flow.Finish(); err != nil {
			h.fault("%v", err)
		}
	}
}
