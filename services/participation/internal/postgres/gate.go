package postgres

import (
	"context"
	"sync"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// changesPerRaffle is how many changes of one raffle may have a connection at the same
// time. One of them has the lock of the row, and the other one waits for it.
const changesPerRaffle = 2

// gates bound how many connections the changes of raffles hold, which wait for the locks
// of rows. Reads wait for nothing, and should not wait for a connection either.
type gates struct {
	all chan struct{} // holds a value for each change that has, or waits for, a connection

	mu      sync.Mutex
	raffles map[int64]*gate
}

// gate is that of one raffle.
type gate struct {
	users  int           // calls that are at the gate or behind it
	slots  chan struct{} // holds a value for each call behind the gate
	locked chan struct{} // closed after a call has waited in vain for the lock of the row
}

// newGates returns gates that let through as many changes as half of the connections.
func newGates(conns int32) *gates {
	return &gates{all: make(chan struct{}, max(1, conns/2)), raffles: make(map[int64]*gate)}
}

// change calls f, in which a raffle is changed, when there is room for it. It fails with
// raffle.ErrLocked if another call meanwhile finds the raffle locked by a stranger.
func (g *gates) change(ctx context.Context, raffleID int64, f func() error) (err error) {
	at := g.enter(raffleID)
	entered := false
	defer func() {
		g.leave(raffleID, at, isLockTimeout(err))
		if entered {
			<-at.slots // only now, so that no other call tries what was in vain
		}
	}()
	select {
	case at.slots <- struct{}{}:
		entered = true
	case <-at.locked:
		return raffle.ErrLocked
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-at.locked:
		return raffle.ErrLocked
	default:
	}
	select {
	case g.all <- struct{}{}:
		defer func() { <-g.all }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return f()
}

func (g *gates) enter(raffleID int64) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.raffles[raffleID]
	if at == nil {
		at = &gate{slots: make(chan struct{}, changesPerRaffle), locked: make(chan struct{})}
		g.raffles[raffleID] = at
	}
	at.users++
	return at
}

// leave ends the calls at the gate if the raffle is locked. Later ones get a new gate.
func (g *gates) leave(raffleID int64, at *gate, locked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at.users--
	if g.raffles[raffleID] != at {
		return // it was replaced
	}
	if locked {
		close(at.locked)
	}
	if locked || at.users == 0 {
		delete(g.raffles, raffleID)
	}
}
