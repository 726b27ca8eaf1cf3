package watch

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

const (
	firstRetry = 3 * time.Second  // the reconnection time until the server sets one
	maxSilence = 45 * time.Second // three heartbeats; a connection that is silent for longer is dead
)

// client behaves like one EventSource.
type client struct {
	history *history
	url     string
	http    *http.Client
	lastID  string
	retry   time.Duration // the reconnection time
}

// run keeps the client connected until it is stopped by 204 or ctx ends.
func (c *client) run(ctx context.Context) {
	for {
		retryIn, again := c.connect(ctx)
		if !again || !ctxtime.Sleep(ctx, retryIn) {
			return
		}
	}
}

// connect opens a stream and reads it to its end. It returns how long to wait
// before the next, and whether there is to be one.
func (c *client) connect(ctx context.Context) (retryIn time.Duration, again bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		c.history.fault("the URL is invalid: %v", err)
		return 0, false
	}
	req.Header.Set("Accept", "text/event-stream")
	if c.lastID != "" {
		req.Header.Set("Last-Event-ID", c.lastID)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.history.fail(c.retry)
		return c.retry, true
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		c.history.stop()
		return 0, false
	default:
		retryIn := c.retryAfter(resp)
		c.history.refuse(resp.StatusCode, retryIn)
		return retryIn, true
	}
	if contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); contentType != "text/event-stream" {
		c.history.fault("the stream's content type is %q", contentType)
	}
	c.read(resp.Body, cancel)
	return c.retry, true
}

// retryAfter returns the response's Retry-After, or else the reconnection time.
func (c *client) retryAfter(resp *http.Response) time.Duration {
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return c.retry
}

// read receives events until the connection ends. It cancels the request if the
// connection is silent for too long.
func (c *client) read(body io.ReadCloser, cancel context.CancelFunc) {
	c.history.connect()
	silence := time.AfterFunc(maxSilence, func() { c.history.silent(); cancel() })
	defer silence.Stop()
	events := sseclient.New(body, c.lastID, func() { silence.Reset(maxSilence) })
	defer events.Close()
	for {
		e, err := events.Next()
		if err != nil {
			c.history.disconnect(c.retry)
			return
		}
		c.lastID = e.ID
		if e.Retry > 0 {
			c.retry = e.Retry
		}
		if e.Data != "" {
			c.history.receive(e)
		}
	}
}
