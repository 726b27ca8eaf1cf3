//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// lockGrace is how long a lock is asked for: a process that was just killed, or a fork that has not come to its exec,
// holds one a little longer. A holder that lives keeps it for good.
const lockGrace = 500 * time.Millisecond

// lockFile takes an exclusive lock that ends with the file or the process, and leaves this process's pid in the file.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // G304: the caller's directory
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockGrace)
	defer cancel()
	for {
		err := tryLock(f)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			defer func() { _ = f.Close() }()
			return nil, fmt.Errorf("in use by another run%s", holder(f))
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintln(f, os.Getpid()) // for the message of the next one only
	}
	return f, nil
}

// tryLock takes the lock or returns EWOULDBLOCK.
func tryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// holder is " (pid 42)" if the file tells.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return " (pid " + pid + ")"
	}
	return ""
}
