package watch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// record is what one client has seen. Safe for concurrent use.
type record struct {
	raffle int64
	notice func() // called after each change

	mu        sync.Mutex
	version   int64
	final     bool
	finalAt   time.Time     // when the final odds came
	stoppedBy bool          // by 204
	allowed   time.Duration // for the final odds to come
	faults    []string

	open     bool
	since    time.Time     // when open last changed
	wait     time.Duration // until it comes back, where it is not open
	gap      time.Duration // the longest one
	connects int
	failures int // no connection
	resets   int
	silences int
	events   int
	refusals map[int]int // by status
}

// odds are what is checked of an event.
type odds struct {
	ID, Version int64
	State       string
}

// final are the states that a raffle does not leave.
func final(state string) bool {
	return state == "CLOSED" || state == "CANCELLED" || state == "DRAWN"
}

func (r *record) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *record) connected() {
	defer r.notice()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.connects++; r.connects > 1 {
		r.gap = max(r.gap, now.Sub(r.since))
	}
	r.open, r.since = true, now
}

func (r *record) lost(wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open, r.since, r.wait = false, time.Now(), wait
}

func (r *record) failed(wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures++
	r.wait = wait
}

func (r *record) silent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silences++
}

// refused notes an answer that is neither a stream nor the end. A gateway that has
// not heard of a new raffle yet says 404; one that leaves or is full, 429 or 503.
func (r *record) refused(status int, wait time.Duration) {
	r.mu.Lock()
	known := r.version > 0
	r.refusals[status]++
	r.wait = wait
	r.mu.Unlock()
	busy := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
	if !busy && (known || status != http.StatusNotFound) {
		r.fault("answered %d", status)
	}
}

func (r *record) stopped() {
	r.mu.Lock()
	final := r.final
	r.stoppedBy = true
	r.mu.Unlock()
	if !final {
		r.fault("told to stop before the final odds")
	}
	r.notice()
}

// received checks an event that came with this id.
func (r *record) received(e event, id string) {
	switch e.name {
	case "raffle-winning-probability":
		var o odds
		if err := json.Unmarshal([]byte(e.data), &o); err != nil {
			r.fault("odds that can't be read: %v", err)
			return
		}
		if id != fmt.Sprintf("%d:%d", r.raffle, o.Version) || o.ID != r.raffle {
			r.fault("odds of raffle %d, version %d, with the id %q", o.ID, o.Version, id)
		}
		r.took(o)
	case "reset":
		r.mu.Lock()
		defer r.mu.Unlock()
		r.resets++
	case "heartbeat":
	default:
		r.fault("an event %q", e.name)
	}
}

// took checks odds against those before them.
func (r *record) took(o odds) {
	r.mu.Lock()
	before, ended := r.version, r.final
	r.events++
	r.version = max(r.version, o.Version)
	if !ended && final(o.State) {
		r.final, r.finalAt = true, time.Now()
	}
	r.mu.Unlock()
	switch {
	case o.Version == before:
		r.fault("version %d came twice", before)
	case o.Version < before:
		r.fault("version %d came after version %d", o.Version, before)
	case ended:
		r.fault("version %d came after the final one, %d", o.Version, before)
	}
	r.notice()
}
