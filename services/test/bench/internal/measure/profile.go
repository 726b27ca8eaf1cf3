//go:build unix

package measure

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
)

// Profile takes a CPU profile of the service with an operations port, for some seconds,
// and writes it to a file.
func Profile(ctx context.Context, ops string, seconds int, file string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", ops, seconds)
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
