// Package flow checks that odds reach a client while they are committed, and not only at
// the end: a gateway that sends nothing but the final odds has shown its viewers nothing.
//
// What is committed is asked of participation, several times a second. Only commits count
// that were made while the client was connected: what a client is sent when it connects
// may be old. Ages compare this machine's clock with the database's, which must agree.
package flow

import (
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Limits are what a client may expect.
type Limits struct {
	// MaxAge is the most time from a commit until a connected client has its odds, or
	// newer ones.
	MaxAge time.Duration
	// MinUpdates is the least number of updates that a client receives, in percent of the
	// looks at participation that found a newer version.
	MinUpdates int
}

// Commits are the versions of a raffle that were seen to be committed. Safe for
// concurrent use.
type Commits struct {
	mu   sync.Mutex
	list []commit // by ascending version
}

type commit struct {
	version int64
	at      time.Time // by the database's clock
}

// Add adds a version, and reports whether it is newer than all before.
func (c *Commits) Add(version int64, at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.list); n > 0 && c.list[n-1].version >= version {
		return false
	}
	c.list = append(c.list, commit{version, at})
	return true
}

// Versions returns how many versions lie between the first and the last that were added.
func (c *Commits) Versions() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return 0
	}
	return c.list[len(c.list)-1].version - c.list[0].version
}

// firstAfter returns the first commit after a version that was made after a time.
func (c *Commits) firstAfter(version int64, since time.Time) (commit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := sort.Search(len(c.list), func(i int) bool { return c.list[i].version > version && c.list[i].at.After(since) })
	if i == len(c.list) {
		return commit{}, false
	}
	return c.list[i], true
}

// Ages are the ages of updates when they arrived. Safe for concurrent use.
type Ages struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram // in microseconds
}

// longestAge is the longest age that is recorded as it is.
const longestAge = time.Hour

// NewAges returns an empty Ages.
func NewAges() *Ages {
	return &Ages{histogram: hdrhistogram.New(1, longestAge.Microseconds(), 3)}
}

func (a *Ages) add(age time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.histogram.RecordValue(min(age, longestAge).Microseconds()) // fails only above the longest
}

// At returns the age that this many percent of the updates did not exceed.
func (a *Ages) At(percent float64) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Duration(a.histogram.ValueAtQuantile(percent)) * time.Microsecond
}

// Client checks what one client receives. Its methods must not be called at the same
// time. Make it with NewClient.
type Client struct {
	limits Limits
	ages   *Ages

	connectedAt time.Time // zero: it is not connected
	version     int64     // the newest that was received
	updates     int       // that were committed and received on one connection
	due         int       // looks at participation that found a newer version, while connected
	isLate      bool      // which was reported
}

// NewClient returns a client that has received nothing. The ages of its updates go into
// ages.
func NewClient(limits Limits, ages *Ages) *Client { return &Client{limits: limits, ages: ages} }

// Connect records that a stream began.
func (c *Client) Connect(now time.Time) { c.connectedAt = now }

// Disconnect records that a stream ended.
func (c *Client) Disconnect() { c.connectedAt = time.Time{} }

// Updates returns how many updates the client received that were committed while it was
// connected.
func (c *Client) Updates() int { return c.updates }

// Receive records odds, which were committed at a time, and returns an error if they are
// older than allowed. Of a client that is late, it returns only the first.
func (c *Client) Receive(version int64, at, now time.Time) error {
	c.version = max(c.version, version)
	if c.connectedAt.IsZero() || !at.After(c.connectedAt) {
		return nil
	}
	c.updates++
	age := max(0, now.Sub(at))
	c.ages.add(age)
	return c.late(age, "received version %d %v after its commit", version)
}

// Look compares the client with what is committed. isNewer reports whether a newer
// version was found since the look before. It returns an error if the client has lacked
// odds for longer than allowed. Of a client that is late, it returns only the first.
func (c *Client) Look(commits *Commits, isNewer bool, now time.Time) error {
	if c.connectedAt.IsZero() {
		return nil
	}
	if isNewer {
		c.due++
	}
	missing, ok := commits.firstAfter(c.version, c.connectedAt)
	if !ok {
		return nil
	}
	return c.late(now.Sub(missing.at), "lacks version %d %v after its commit", missing.version)
}

func (c *Client) late(age time.Duration, format string, version int64) error {
	if age <= c.limits.MaxAge || c.isLate {
		return nil
	}
	c.isLate = true
	return fmt.Errorf(format+", more than %v", version, age.Round(time.Millisecond), c.limits.MaxAge)
}

// minDue is how many looks must have found a newer version before the number of updates
// is judged.
const minDue = 8

// Finish returns an error if the client has received too few updates.
func (c *Client) Finish() error {
	if c.due < minDue || c.updates*100 >= c.due*c.limits.MinUpdates {
		return nil
	}
	return fmt.Errorf("received %d updates, while participation had a newer version %d times", c.updates, c.due)
}
