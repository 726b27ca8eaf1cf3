//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// orphanGrace is how long each of the three signals has to end an earlier run's server.
const orphanGrace = 5 * time.Second

// running is a process of this machine; its command is empty if it is a zombie.
type running struct {
	pid     int
	command string // arguments, joined by spaces
}

// clearLeftovers stops and removes what a killed run left. Only who holds the lock may call it.
func (p place) clearLeftovers(ctx context.Context) error {
	if err := p.stopOrphans(ctx); err != nil {
		return err
	}
	if err := p.checkPidFile(ctx); err != nil {
		return err
	}
	unfinished, err := filepath.Glob(p.file("data.new-*"))
	for _, dir := range unfinished {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// stopOrphans ends all processes of this place's server, ever less gently.
func (p place) stopOrphans(ctx context.Context) error {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		left, err := p.orphans(ctx)
		if err != nil || len(left) == 0 {
			return err
		}
		p.log.WarnContext(ctx, "stopping PostgreSQL processes of an earlier run", "signal", sig.String(), "pids", pids(left))
		for _, o := range left {
			if !o.postmaster(p.name) && sig != syscall.SIGKILL {
				continue // children follow the postmaster; SIGINT means something else to them
			}
			if err := syscall.Kill(o.pid, sig); errors.Is(err, syscall.EPERM) {
				return fmt.Errorf("a server of an earlier run is still there (pid %d) and belongs to another user", o.pid)
			}
		}
		if err := p.awaitGone(ctx); err != nil {
			return err
		}
	}
	if left, err := p.orphans(ctx); err != nil || len(left) > 0 {
		return fmt.Errorf("processes of an earlier run do not end: pids %v", pids(left))
	}
	return nil
}

// awaitGone returns when there are no orphans left, or after orphanGrace.
func (p place) awaitGone(ctx context.Context) error {
	for deadline := time.Now().Add(orphanGrace); time.Now().Before(deadline); {
		if left, err := p.orphans(ctx); err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// orphans are the live processes that carry the place's name, which is the server's cluster_name: in the postmaster's
// arguments and in the titles of its children. Unlike a working directory it can be read without further rights.
func (p place) orphans(ctx context.Context) ([]running, error) {
	all, err := processes(ctx)
	var own []running
	for _, r := range all {
		if r.postmaster(p.name) || strings.HasPrefix(r.command, "postgres: "+p.name+": ") {
			own = append(own, r)
		}
	}
	return own, err
}

func (r running) postmaster(name string) bool {
	return strings.Contains(r.command, "postgres -D ") && strings.Contains(r.command, "cluster_name="+name)
}

func pids(list []running) []int {
	ids := make([]int, len(list))
	for i, r := range list {
		ids[i] = r.pid
	}
	return ids
}

// checkPidFile removes a postmaster.pid whose number now belongs to something else, or to a zombie, which would make
// postgres refuse to start. If nothing has that pid, postgres clears up itself and knows better how. It refuses when
// somebody started a server on the directory by hand.
func (p place) checkPidFile(ctx context.Context) error {
	path := filepath.Join(p.data(), "postmaster.pid")
	text, err := os.ReadFile(path) //nolint:gosec // G304: the caller's directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err == nil && (pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)) {
		return nil
	}
	all, err := processes(ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.pid == pid && r.serves(p.data()) {
			return fmt.Errorf("a PostgreSQL that was started by other means uses %s (pid %d): stop it first", p.data(), pid)
		}
	}
	return os.Remove(path)
}

// serves reports whether r is a postmaster that may be using the data directory: it names it, or no other.
func (r running) serves(data string) bool {
	program, _, _ := strings.Cut(r.command, " ")
	if base := filepath.Base(program); base != "postgres" && base != "postmaster" {
		return false
	}
	return strings.Contains(r.command, data) || !strings.Contains(r.command, " -D")
}
