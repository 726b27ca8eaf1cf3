// Package course records how the entries of every raffle grew, so that whoever comes late
// sees it, too. It is what this instance has seen since it started, no truth.
package course

import (
	"slices"
	"sync"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// maxPoints bounds the points of a raffle, which take 16 bytes each.
const maxPoints = 200

// Point is how many entries a raffle had at a time.
type Point struct {
	At      int64 // Unix milliseconds, by the database's clock
	Entries int64
}

// Recorder records courses. The zero value is ready. Its methods are safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex
	courses map[int64]*course
}

// course is how the entries of one raffle grew. If it is full, it keeps every second point,
// and takes half as many from then on.
type course struct {
	epoch    string
	points   []Point
	interval int64 // the least milliseconds between two points
}

// Record adds an update, and forgets a raffle that was removed. A raffle's updates must
// come in order.
func (r *Recorder) Record(u *odds.Update) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u.Removed {
		delete(r.courses, u.RaffleID)
		return
	}
	c := r.courses[u.RaffleID]
	if c == nil || c.epoch != u.Epoch {
		c = &course{epoch: u.Epoch}
		if r.courses == nil {
			r.courses = make(map[int64]*course)
		}
		r.courses[u.RaffleID] = c
	}
	c.add(Point{u.At.UnixMilli(), u.Entries})
}

func (c *course) add(p Point) {
	if n := len(c.points); n > 0 {
		last := c.points[n-1]
		if p.Entries == last.Entries || p.At < last.At+c.interval {
			return
		}
		if n == maxPoints {
			c.thin()
		}
	}
	c.points = append(c.points, p)
}

// thin drops every second point.
func (c *course) thin() {
	kept := c.points[:0]
	for i := 0; i < len(c.points); i += 2 {
		kept = append(kept, c.points[i])
	}
	c.points = kept
	c.interval = max(2*c.interval, (kept[len(kept)-1].At-kept[0].At)/maxPoints, 1)
}

// Of returns the course of a raffle, oldest point first; it is empty if nothing is known.
func (r *Recorder) Of(raffleID int64) []Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.courses[raffleID]; c != nil {
		return slices.Clone(c.points)
	}
	return nil
}
