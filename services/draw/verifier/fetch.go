package verifier

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

var raffleURL = regexp.MustCompile(`^(https?://.+?)/(?:api/v1/raffles|raffle)/([1-9][0-9]*)/?$`)

func isURL(arg string) bool {
	return strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://")
}

// fetch fetches checkpoint and log of a raffle into a directory. What in lacks, the key
// and the chain, it takes from the server as well, with a caution.
func fetch(ctx context.Context, url, dir string, in *draw.Input) (cautions []string, err error) {
	parts := raffleURL.FindStringSubmatch(url)
	if parts == nil {
		return nil, fmt.Errorf("%s does not end like /raffle/1", url)
	}
	api := parts[1] + "/api/v1/raffles/" + parts[2]
	var served struct {
		VerifierKey string          `json:"verifierKey"`
		ChainInfo   json.RawMessage `json:"chainInfo"`
	}
	body, err := get(ctx, api+"/draw", 1<<20)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &served); err != nil {
		return nil, fmt.Errorf("%s/draw: %w", api, err)
	}
	if in.Key == "" {
		in.Key = served.VerifierKey
		cautions = append(cautions, "the key comes from the server itself; give --key if you know it from elsewhere")
	}
	// A chain other than quicknet has its own caution.
	if chain, err := draw.ParseChain(served.ChainInfo); err == nil {
		in.Chains = append(in.Chains, chain)
	}
	// The checkpoint comes first: the log may grow meanwhile.
	checkpoint, err := get(ctx, api+"/checkpoint", 1<<16)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "checkpoint"), checkpoint, 0o600); err != nil {
		return nil, err
	}
	c, _ := draw.OpenCheckpoint(checkpoint, "") // Verify says what is wrong with it
	return cautions, fetchLog(ctx, api+"/log", filepath.Join(dir, "log"), c.Size)
}

// fetchLog writes the first size records to a file, page by page.
func fetchLog(ctx context.Context, url, name string, size int64) error {
	file, err := os.Create(name) //nolint:gosec // in a temporary directory
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // once more, after an error
	for from := int64(0); from < size; from += logfile.PageSize {
		page, err := get(ctx, fmt.Sprintf("%s?from=%d", url, from), logfile.PageSize*(4+draw.MaxRecord))
		if err != nil {
			return err
		}
		var framed []byte
		n := from
		for record, err := range logfile.Records(strings.NewReader(string(page))) {
			if err != nil {
				return fmt.Errorf("%s?from=%d: %w", url, from, err)
			}
			if n < size {
				framed = logfile.Append(framed, record)
			}
			n++
		}
		if n == from {
			break // the log is shorter than its checkpoint, which Verify says
		}
		if _, err := file.Write(framed); err != nil {
			return err
		}
	}
	return file.Close()
}

func get(ctx context.Context, url string, limit int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", url, err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s: %.200s", url, response.Status, body)
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("%s: the answer has more than %d bytes", url, limit)
	}
	return body, nil
}
