//go:build unix

package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// profile takes a CPU profile of the service while a contestant of it takes its
// turn, where profiles are wanted. The returned function waits for it.
func (b *bench) profile(ctx context.Context, k *contestant) (wait func()) {
	if b.cfg.Profiles == "" || k.run != nil {
		return func() {}
	}
	part := b.service
	if k.noop {
		part = b.noop
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		seconds := max(1, int(b.cfg.Duration.Seconds()))
		file := filepath.Join(b.cfg.Profiles, k.name+".pprof")
		if err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", part.ops, seconds), file); err != nil {
			fmt.Fprintln(b.log, "profile:", err)
		}
	}()
	return func() { <-done }
}

func fetch(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(file) //nolint:gosec // where the user wants it
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
