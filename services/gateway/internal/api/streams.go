package api

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// streams knows the connections that are open, so that they can be closed
// evenly: all at once would bring all the clients back at once.
type streams struct {
	mu      *sync.Mutex
	open    map[chan struct{}]struct{}
	closing bool
	empty   chan struct{} // closed when closing and none is open
}

func newStreams() streams {
	return streams{mu: new(sync.Mutex), open: make(map[chan struct{}]struct{}), empty: make(chan struct{})}
}

// enter adds a connection. It is to end when leave is closed, and to call done
// when it has. ok is false once Leave was called.
func (s *streams) enter() (leave <-chan struct{}, done func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, nil, false
	}
	c := make(chan struct{})
	s.open[c] = struct{}{}
	return c, func() { s.exit(c) }, true
}

func (s *streams) exit(c chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	if s.closing && len(s.open) == 0 {
		close(s.empty)
	}
}

// Streams returns how many connections are open.
func (a *API) Streams() int {
	a.streams.mu.Lock()
	defer a.streams.mu.Unlock()
	return len(a.streams.open)
}

// Leave refuses new streams and ends the open ones, evenly over the window; it
// returns when all have ended, or with ctx. Call it once.
func (a *API) Leave(ctx context.Context, window time.Duration) {
	s := &a.streams
	s.mu.Lock()
	s.closing = true
	for c := range s.open {
		time.AfterFunc(rand.N(window+1), func() { close(c) })
	}
	if len(s.open) == 0 {
		close(s.empty)
	}
	s.mu.Unlock()
	select {
	case <-s.empty:
	case <-ctx.Done():
	}
}
