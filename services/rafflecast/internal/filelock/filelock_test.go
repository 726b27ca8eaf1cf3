//go:build unix

package filelock

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestOpen_WaitsForTheHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Open(ended, path); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("while it is held: %v", err)
	}
	time.AfterFunc(5*retryInterval, func() { first.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	second, err := Open(ctx, path)
	if err != nil {
		t.Fatalf("once it is released: %v", err)
	}
	second.Close()
}

func TestOpen_FailsIfThereIsNoDirectory(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "none", "lock")); err == nil {
		t.Error("no error")
	}
}
