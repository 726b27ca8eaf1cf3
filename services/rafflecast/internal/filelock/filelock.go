//go:build unix

// Package filelock lets one process at a time use a file or the directory around it.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const retryInterval = 10 * time.Millisecond

// Open opens a file for appending and takes an exclusive lock, which lasts until the
// last copy of the file is closed, in whichever process. If the lock is still held
// when ctx ends, the error is EWOULDBLOCK; Open tries at least once.
func Open(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600) //nolint:gosec // the caller names the file
	if err != nil {
		return nil, err
	}
	for {
		last := ctx.Err() != nil
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if last || !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
}
