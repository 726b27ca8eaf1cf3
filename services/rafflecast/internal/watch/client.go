package watch

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const (
	firstRetry = 3 * time.Second  // until the server names another
	silence    = 45 * time.Second // three heartbeats; a connection that says nothing for longer is dead
)

// client is one EventSource.
type client struct {
	*record
	url    string
	http   *http.Client
	lastID string
	retry  time.Duration
}

// live keeps the client connected until it is told to stop or ctx ends.
func (c *client) live(ctx context.Context) {
	for {
		pause, again := c.connect(ctx)
		if !again || !sleep(ctx, pause) {
			return
		}
	}
}

// connect holds one connection. It returns how long to wait before the next, and
// false where there is to be none.
func (c *client) connect(ctx context.Context) (pause time.Duration, again bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		c.fault("the URL is wrong: %v", err)
		return 0, false
	}
	req.Header.Set("Accept", "text/event-stream")
	if c.lastID != "" {
		req.Header.Set("Last-Event-ID", c.lastID)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.failed(c.retry)
		return c.retry, true
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.answered(resp)
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/event-stream" {
		c.fault("the stream's content type is %q", kind)
	}
	c.read(resp.Body, cancel)
	return c.retry, true
}

// answered takes an answer that is no stream.
func (c *client) answered(resp *http.Response) (pause time.Duration, again bool) {
	if resp.StatusCode == http.StatusNoContent {
		c.stopped()
		return 0, false
	}
	pause = c.retry
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		pause = time.Duration(seconds) * time.Second
	}
	c.refused(resp.StatusCode, pause)
	return pause, true
}

// read takes events until the connection ends.
func (c *client) read(body io.Reader, cancel context.CancelFunc) {
	c.connected()
	dead := time.AfterFunc(silence, func() { c.silent(); cancel() })
	defer dead.Stop()
	s := newStream(&alive{body, dead}, c.lastID, c.retry)
	for {
		e, ok := s.next()
		c.lastID, c.retry = s.lastID, s.retry
		if !ok {
			c.lost(c.retry)
			return
		}
		c.received(e, c.lastID)
	}
}

// alive puts a timer off with everything that is read.
type alive struct {
	io.Reader
	dead *time.Timer
}

func (a *alive) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if n > 0 {
		a.dead.Reset(silence)
	}
	return n, err
}

// sleep waits, and tells whether ctx allowed it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
