//go:build unix

package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// initData makes the data directory, or checks that the one there can be used.
func (s *Server) initData(ctx context.Context) error {
	data := s.place.data()
	version, err := os.ReadFile(filepath.Join(data, "PG_VERSION")) //nolint:gosec // G304: the caller's directory
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(data); err == nil { // openPlace has removed an empty one
			return fmt.Errorf("%s is neither empty nor a PostgreSQL data directory: move it away", data)
		}
		return s.newData(ctx)
	case err != nil:
		return err
	}
	b := s.cfg.Binaries
	if major := strings.TrimSpace(string(version)); major != strconv.Itoa(b.Major) {
		return fmt.Errorf("the data in %s are of PostgreSQL %s, and %s is version %s: "+
			"use PostgreSQL %[2]s, or remove the directory to start afresh", data, major, b.Dir, b.Version)
	}
	return nil
}

// newData runs initdb beside the data directory and renames the result, so that a kill leaves no half of one.
func (s *Server) newData(ctx context.Context) error {
	begin := time.Now()
	fresh, err := os.MkdirTemp(s.place.dir, "data.new-*")
	if err != nil {
		return err
	}
	err = s.place.acct.own(fresh)
	if err == nil {
		err = s.initdb(ctx, fresh)
	}
	if err == nil {
		err = os.Rename(fresh, s.place.data())
	}
	if err != nil {
		_ = os.RemoveAll(fresh)
		return err
	}
	s.cfg.Log.InfoContext(ctx, "made a PostgreSQL data directory", "version", s.cfg.Binaries.Version,
		"data", s.place.data(), "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

// initdb fills dir. The locale is C because it is on every system, and sorts and compares faster than any other;
// "reject" keeps TCP shut even if somebody opens a port later.
func (s *Server) initdb(ctx context.Context, dir string) error {
	args := []string{
		"-D", dir, "-U", s.cfg.User, "--encoding=UTF8", "--locale=C", "--auth-local=trust",
		"--auth-host=reject", "--no-instructions",
	}
	if s.place.temp {
		args = append(args, "--no-sync")
	}
	cmd := s.cfg.Binaries.command(ctx, "initdb", s.place, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // for children of a killed initdb that hold its output
	if err := runGuarded(cmd); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("initdb: %w: %s", err, lastLines(out.String()))
	}
	return nil
}
