package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// clock is the clock of PostgreSQL, which libfaketime (Debian: faketime) can
// step. Without that library the clock is the machine's, and can't be stepped.
type clock struct {
	library string
	file    string // what libfaketime reads
}

func newClock(dir string) *clock {
	c := &clock{file: filepath.Join(dir, "clock")}
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		return c
	}
	if err := c.set(0); err == nil {
		c.library = found[0]
	}
	return c
}

// environment returns what a process needs to go by the clock.
func (c *clock) environment() []string {
	if c.library == "" {
		return nil
	}
	return []string{
		"LD_PRELOAD=" + c.library, "FAKETIME_TIMESTAMP_FILE=" + c.file, "FAKETIME_NO_CACHE=1",
		"FAKETIME_DONT_RESET=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
	}
}

// set puts the clock ahead of the machine's by offset, which may be negative.
func (c *clock) set(offset time.Duration) error {
	temp := c.file + ".new"
	if err := os.WriteFile(temp, fmt.Appendf(nil, "%+.3f", offset.Seconds()), 0o644); err != nil { //nolint:gosec // PostgreSQL's account reads it
		return err
	}
	return os.Rename(temp, c.file)
}
