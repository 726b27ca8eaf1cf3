package raffle

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrNotCompared means that the database was not compared yet with what viewers have
// seen of it, so that it is not known whether it has lost records of the raffles' logs.
var ErrNotCompared = errors.New("the raffles' logs are not compared yet with what was published of them: try again shortly")

// comparedTimeout bounds how long a call waits for the comparison. The first one after
// the start or a restore takes a second or two.
const comparedTimeout = 5 * time.Second

// Comparison knows whether the database that answers was compared with the stream of
// odds. A database that was restored from a backup, or has failed over, may lack records
// that viewers have seen; the comparison finds that, and the raffle begins another log.
// So nothing is signed, no raffle with a log ends, and no log is published before the
// first comparison of this process with the database that answers has succeeded. Entries
// are taken meanwhile.
//
// A restore or failover begins another life of the database, which is compared anew. All
// methods are safe for concurrent use. A nil *Comparison counts as compared.
type Comparison struct {
	mu       sync.Mutex
	known    DatabaseIdentity // that has answered last
	life     int              // counts the lives of the database since the start
	compared bool             // in this life
	changed  chan struct{}    // closed when compared becomes true; nil: nobody waits
}

// Observe notes which database has answered, and returns its life.
func (c *Comparison) Observe(now DatabaseIdentity) (life int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known.Continues(now) {
		c.life++
		c.compared = false
	}
	c.known = now
	return c.life
}

// Compared records that a database was compared that had this life when that began.
func (c *Comparison) Compared(life int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.compared = c.compared || life == c.life; c.compared && c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// Done reports whether the database that has answered last was compared.
func (c *Comparison) Done() bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compared
}

// Check is what was known before something was read from the database.
type Check struct {
	Known DatabaseIdentity // which database had answered last

	of       *Comparison
	life     int
	compared bool
}

// Check begins a check of what is read from now on.
func (c *Comparison) Check() Check {
	if c == nil {
		return Check{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return Check{Known: c.known, of: c, life: c.life, compared: c.compared}
}

// Passes returns ErrNotCompared unless the database from which something was read, and
// then its identity without raising its ticks, was compared before.
func (k Check) Passes(now DatabaseIdentity) error {
	raised := now
	raised.Ticks++ // equal ticks are of the same moment
	switch {
	case k.of == nil:
		return nil
	case k.Known.Continues(raised) && k.compared:
		return nil
	case k.Known.Continues(raised):
		return ErrNotCompared
	}
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	if k.of.life == k.life { // nobody else has noticed it
		k.of.life++
		k.of.compared, k.of.known = false, now
	}
	return ErrNotCompared
}

// Wait waits for the comparison, for some seconds at most or until ctx ends, and reports
// whether it is done.
func (c *Comparison) Wait(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, comparedTimeout)
	defer cancel()
	c.mu.Lock()
	if c.compared {
		c.mu.Unlock()
		return true
	}
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	changed := c.changed
	c.mu.Unlock()
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}
