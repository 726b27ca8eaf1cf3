package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// odds are what an event, or a row, says of a raffle.
type odds struct {
	ID      int64  `json:"id"`
	Epoch   string `json:"epoch"`
	Version int64  `json:"version"`
	State   string `json:"state"`
	Title   string `json:"title"`
	Entries int64  `json:"entries"`
	Members int64  `json:"members"`
}

func (o odds) String() string {
	return fmt.Sprintf("version %d of life %s, %s %q with %d entries of %d members", o.Version, o.Epoch, o.State, o.Title, o.Entries, o.Members)
}

// history is what one client has seen. Not safe for concurrent use.
type history struct {
	last   map[int64]odds
	reset  map[int64]bool // raffles whose next update may be one that was there before
	recent []string       // the newest events, for whoever looks for a failure
}

func newHistory() *history { return &history{last: make(map[int64]odds), reset: make(map[int64]bool)} }

// verdict says what is wrong with an update; empty fields: nothing is.
type verdict struct{ regressed, doubled string }

// note keeps a line among the newest ones.
func (h *history) note(format string, args ...any) {
	if len(h.recent) == 40 {
		h.recent = slices.Delete(h.recent, 0, 1)
	}
	h.recent = append(h.recent, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// take judges an event of a client that watches ids, and records it. Resets and
// updates return their odds; other events are not looked at.
func (h *history) take(ids []int64, event string, data []byte) (o odds, v verdict, ok bool) {
	if (event != "raffle-winning-probability" && event != "reset") || json.Unmarshal(data, &o) != nil {
		return o, v, false
	}
	if event == "reset" {
		h.note("reset of raffle %d (0: of all)", o.ID)
		for _, id := range ids {
			if o.ID == 0 || o.ID == id {
				h.reset[id] = true
			}
		}
		return o, v, true
	}
	before, known := h.last[o.ID]
	if known && before.Epoch == o.Epoch {
		switch {
		case o.Version < before.Version:
			v.regressed = fmt.Sprintf("raffle %d: version %d after %d", o.ID, o.Version, before.Version)
		case o.Version == before.Version && !h.reset[o.ID]:
			v.doubled = fmt.Sprintf("raffle %d: version %d twice", o.ID, o.Version)
		}
	}
	h.note("raffle %d: %v", o.ID, o)
	delete(h.reset, o.ID)
	h.last[o.ID] = o
	return o, v, true
}

// lacks returns what the client does not have of the raffles that it watches, or "".
func (h *history) lacks(ids []int64, want map[int64]odds) string {
	for _, id := range ids {
		if got := h.last[id]; got != want[id] {
			return fmt.Sprintf("raffle %d: has %v; the database has %v", id, got, want[id])
		}
	}
	return ""
}

// behind returns where the client has an older version than the given one, or "".
func (h *history) behind(ids []int64, want map[int64]odds) string {
	for _, id := range ids {
		if got := h.last[id]; got.Epoch != want[id].Epoch || got.Version < want[id].Version {
			return fmt.Sprintf("raffle %d: has %v; the database had %v", id, got, want[id])
		}
	}
	return ""
}

func (h *history) String() string { return strings.Join(h.recent, "\n    ") }

// contents remembers what was shown as each version of each life of a raffle: it
// must be the same for everybody. All methods are safe for concurrent use.
type contents struct {
	mu    sync.Mutex
	shown map[version]odds
}

type version struct {
	id      int64
	epoch   string
	version int64
}

func newContents() *contents { return &contents{shown: make(map[version]odds)} }

// take returns how an update contradicts one that somebody else was shown, or "".
func (c *contents) take(o odds) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := version{o.ID, o.Epoch, o.Version}
	before, known := c.shown[key]
	if !known {
		c.shown[key] = o
		return ""
	}
	if before != o {
		return fmt.Sprintf("raffle %d was shown to one client as %v, and to another as %v", o.ID, before, o)
	}
	return ""
}
