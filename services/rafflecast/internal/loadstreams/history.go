package loadstreams

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/flow"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

// history is what one client has seen, as its observer. Safe for concurrent use.
type history struct {
	raffleID int64
	changed  func() // called when the client may have become ready for what Run waits for
	losses   *bursts
	returns  *bursts

	mu      sync.Mutex
	epoch   string    // of the raffle; "" before the first odds
	version int64     // the newest
	final   bool      // the final odds were received
	finalAt time.Time // when they were
	stopped bool      // by 204
	flow    *flow.Client
	allowed time.Duration // from the raffle's end to finalAt
	faults  []string
	late    string // the first fault of lacking odds for too long

	connected bool
	since     time.Time     // when connected last changed
	retryIn   time.Duration // how long the client waits before it reconnects
	counts    counts
}

// counts are what is counted of one client, or of all.
type counts struct {
	connects   int
	failures   int // attempts that led to no response
	silences   int // connections that were silent for too long
	resets     int
	events     int           // with odds
	longestGap time.Duration // without a connection
	refusals   map[int]int   // by status
}

// odds are the checked parts of an event's data.
type odds struct {
	ID      int64
	Epoch   string
	Version int64
	State   string
	DrawsAt *time.Time
	At      time.Time // of the commit
}

// fault records a fault.
func (h *history) fault(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, fmt.Sprintf(format, args...))
}

// Connected records that a stream began.
func (h *history) Connected(http.Header) {
	defer h.changed()
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if h.counts.connects++; h.counts.connects > 1 {
		h.counts.longestGap = max(h.counts.longestGap, now.Sub(h.since))
		h.returns.add()
	}
	h.connected, h.since = true, now
	h.flow.Connect(now)
}

// Disconnected records that a stream ended.
func (h *history) Disconnected(retryIn time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connected, h.since, h.retryIn = false, time.Now(), retryIn
	h.flow.Disconnect()
	if !h.final { // final odds end all streams
		h.losses.add()
	}
}

// Failed records a request without a response.
func (h *history) Failed(_ error, retryIn time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.failures++
	h.retryIn = retryIn
}

// Silent records that a connection was silent for too long.
func (h *history) Silent() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.silences++
}

// Refused records a response that is neither a stream nor 204. It is no fault if the
// gateway is draining or over a limit (503, 429), or has not received a new raffle
// yet (404).
func (h *history) Refused(status int, _ string, retryIn time.Duration) (goOn bool) {
	h.mu.Lock()
	known := h.version > 0
	h.counts.refusals[status]++
	h.retryIn = retryIn
	h.mu.Unlock()
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
	case status == http.StatusNotFound && !known:
	default:
		h.fault("answered %d", status)
	}
	return true
}

// Malformed records a response that no gateway sends.
func (h *history) Malformed(what string) { h.fault("%s", what) }

// Stopped records 204, at which an EventSource stops.
func (h *history) Stopped() {
	h.mu.Lock()
	final := h.final
	h.stopped = true
	h.mu.Unlock()
	if !final {
		h.fault("stopped by 204 before the final odds")
	}
	h.changed()
}

// Received checks an event.
func (h *history) Received(e sseclient.Event) {
	switch e.Name {
	case sseclient.OddsEvent:
		var o odds
		if err := json.Unmarshal([]byte(e.Data), &o); err != nil {
			h.fault("odds that are no JSON: %v", err)
			return
		}
		if e.ID != fmt.Sprintf("%d:%s:%d", h.raffleID, o.Epoch, o.Version) || o.ID != h.raffleID {
			h.fault("odds of raffle %d, epoch %s, version %d, with the id %q", o.ID, o.Epoch, o.Version, e.ID)
		}
		h.receiveOdds(o)
	case sseclient.ResetEvent:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.counts.resets++
	case sseclient.HeartbeatEvent:
	default:
		h.fault("an event %q", e.Name)
	}
}

// receiveOdds checks odds against the ones before them.
func (h *history) receiveOdds(o odds) {
	h.mu.Lock()
	before, ended := h.version, h.final
	otherEpoch := h.epoch != "" && h.epoch != o.Epoch
	h.epoch = o.Epoch
	h.counts.events++
	h.version = max(h.version, o.Version)
	if !ended && sseclient.IsFinal(o.State, o.DrawsAt != nil) {
		h.final, h.finalAt = true, time.Now()
	}
	h.noteLate(h.flow.Receive(o.Version, o.At, time.Now()))
	h.mu.Unlock()
	if otherEpoch {
		h.fault("version %d has another epoch, %s", o.Version, o.Epoch)
	}
	switch {
	case o.Version == before:
		h.fault("version %d was received twice", before)
	case o.Version < before:
		h.fault("version %d after version %d", o.Version, before)
	case ended:
		h.fault("version %d after the final version %d", o.Version, before)
	}
	h.changed()
}

// look compares the client with what is committed.
func (h *history) look(commits *flow.Commits, isNewer bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noteLate(h.flow.Look(commits, isNewer, time.Now()))
}

// noteLate records that the client lacks odds for too long, unless err is nil. The
// caller holds h.mu.
func (h *history) noteLate(err error) {
	if err != nil && h.late == "" {
		h.late = err.Error()
	}
}

// isStopped reports whether the client was stopped by 204.
func (h *history) isStopped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopped
}
