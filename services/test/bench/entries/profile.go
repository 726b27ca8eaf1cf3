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

// profile takes a CPU profile of the server that a workload calls, if profiles are
// wanted. The returned function waits for it.
func (b *bench) profile(ctx context.Context, w *workload) (wait func()) {
	server := b.serverOf(w)
	if b.cfg.Profiles == "" || server == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		seconds := max(1, int(b.cfg.Duration.Seconds()))
		file := filepath.Join(b.cfg.Profiles, w.name+".pprof")
		if err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", server.ops, seconds), file); err != nil {
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
	f, err := os.Create(file) //nolint:gosec // the user names the directory
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
