// Package drand fetches rounds of drand chains from relays, and runs a development chain
// behind the same HTTP interface. Relays need no trust: a signature that package draw
// verifies is the chain's, whoever delivers it.
package drand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/rafflecast/rafflecast/services/draw"
)

// Bounds of a relay's answer.
const (
	maxAnswer = 4 << 10
	timeout   = 5 * time.Second
)

// The errors of a relay. Client.Signature returns one for each relay, joined.
var (
	// ErrNotOut means that the relay does not have the round yet.
	ErrNotOut = errors.New("the round is not out yet")
	// ErrWrong means that the answer is not the round: too long, malformed, of another
	// round, or with a signature that is not the chain's.
	ErrWrong = errors.New("wrong answer")
	// ErrUnavailable means that the relay did not answer, or failed.
	ErrUnavailable = errors.New("relay unavailable")
)

// Client fetches rounds of one chain. It is safe for concurrent use.
type Client struct {
	Chain  *draw.Chain
	Relays []string // URLs, without the chain; asked in this order
	HTTP   *http.Client
}

// Signature returns the verified signature of a round from the first relay that has it.
// Without one, the error joins those of all relays, each with its URL, and each an
// ErrNotOut, ErrWrong or ErrUnavailable. A relay has 5 s and 4 KB for its answer.
func (c *Client) Signature(ctx context.Context, round uint64) ([]byte, error) {
	var failures []error
	for _, relay := range c.Relays {
		signature, err := c.ask(ctx, fmt.Sprintf("%s/%s/public/%d", relay, c.Chain.Hash, round), round)
		if err == nil {
			return signature, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		failures = append(failures, fmt.Errorf("relay %s: %w", relay, err))
	}
	return nil, errors.Join(failures...)
}

func (c *Client) ask(ctx context.Context, url string, round uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusTooEarly:
		return nil, ErrNotOut
	default:
		return nil, fmt.Errorf("%w: %s", ErrUnavailable, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrWrong, maxAnswer)
	}
	var answer Round
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	if answer.Round != round {
		return nil, fmt.Errorf("%w: it is round %d, not %d", ErrWrong, answer.Round, round)
	}
	if err := c.Chain.Verify(round, answer.Signature); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	return answer.Signature, nil
}

// Round is a round in a relay's answer.
type Round struct {
	Round      uint64        `json:"round"`
	Randomness string        `json:"randomness"`
	Signature  draw.HexBytes `json:"signature"`
}
