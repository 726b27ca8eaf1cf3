//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// quitGrace is how long postgres has after SIGQUIT, on which it drops everything at once, before it is killed.
const quitGrace = 3 * time.Second

// Stop ends the server and waits for it: connections are dropped and the data written (PostgreSQL's fast shutdown).
// When ctx ends first, postgres is made to leave at once, after 3 s by SIGKILL, and an error says so; committed data
// are safe, the next start recovers them. Stopping twice, concurrently, or a nil Server is legal.
func (s *Server) Stop(ctx context.Context) error {
	if s == nil || s.pg == nil {
		return nil
	}
	s.stopping.Store(true)
	s.pg.signal(syscall.SIGINT)
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	s.pg.signal(syscall.SIGQUIT)
	select {
	case <-s.done:
	case <-time.After(quitGrace):
		s.pg.signal(syscall.SIGKILL)
		<-s.done
	}
	return fmt.Errorf("localpg: stop %s: server was cut off: %w", s.cfg.Dir, context.Cause(ctx))
}

// ended runs once, when the postmaster has been waited for.
func (s *Server) ended(err error) {
	if err != nil { // after an orderly end the postmaster has waited for its children; now they may still be there
		ctx, cancel := context.WithTimeout(context.Background(), 2*orphanGrace)
		defer cancel()
		if err := s.place.stopOrphans(ctx); err != nil {
			s.cfg.Log.Warn("PostgreSQL left processes behind", "error", err)
		}
	}
	s.exit = s.withLog(err)
	if !s.stopping.Load() {
		s.err = fmt.Errorf("localpg: PostgreSQL on %s ended by itself: %w", s.cfg.Dir, s.exit)
	}
	s.release()
	close(s.done)
}

// release gives the directory back: the lock last, since it guards the rest.
func (s *Server) release() {
	s.place.removeSocketDir()
	if s.place.temp {
		if err := errors.Join(os.RemoveAll(s.place.dir), os.RemoveAll(s.cfg.Dir)); err != nil {
			s.cfg.Log.Warn("a temporary PostgreSQL directory remains", "error", err)
		}
	}
	_ = s.lock.Close()
}
