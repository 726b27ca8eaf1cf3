package sseclient

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
)

const (
	firstRetry = 3 * time.Second  // the reconnection time until the server sets one
	maxSilence = 45 * time.Second // three heartbeats; a connection that is silent for longer is dead
)

// Observer is told what happens to a Client, on the goroutine that calls Run, but for
// Silent, which has its own.
type Observer interface {
	// Connected: a stream has begun.
	Connected(header http.Header)
	// Received: an event with data has arrived.
	Received(e Event)
	// Silent: nothing has arrived for too long, and the connection is given up.
	Silent()
	// Disconnected: a stream has ended.
	Disconnected(retryIn time.Duration)
	// Failed: a request has no response.
	Failed(err error, retryIn time.Duration)
	// Refused: the response is no stream. It reports whether to try again.
	Refused(status int, body string, retryIn time.Duration) (goOn bool)
	// Stopped: the gateway has answered 204, since nothing will follow.
	Stopped()
	// Malformed: the response is not what a gateway sends.
	Malformed(what string)
}

// Client behaves like one EventSource. Make it with NewClient; Run may be called once.
type Client struct {
	url       string
	http      *http.Client
	authorize func(http.Header) error
	observer  Observer
	lastID    string
	retry     time.Duration // the reconnection time
}

// NewClient returns a client of the stream at url. authorize adds to the header of each
// request; nil means nothing.
func NewClient(url string, client *http.Client, authorize func(http.Header) error, observer Observer) *Client {
	return &Client{url: url, http: client, authorize: authorize, observer: observer, retry: firstRetry}
}

// Run keeps the client connected until it is stopped by 204, the observer wants no
// other attempt, or ctx ends.
func (c *Client) Run(ctx context.Context) {
	for {
		retryIn, again := c.connect(ctx)
		if !again || !ctxtime.Sleep(ctx, retryIn) {
			return
		}
	}
}

// connect opens a stream and reads it to its end. It returns how long to wait
// before the next, and whether there is to be one.
func (c *Client) connect(ctx context.Context) (retryIn time.Duration, again bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.request(ctx)
	if err != nil {
		c.observer.Failed(err, c.retry)
		return c.retry, true
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		c.observer.Stopped()
		return 0, false
	default:
		retryIn := c.retryAfter(resp)
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorSize)) // what arrived of it
		return retryIn, c.observer.Refused(resp.StatusCode, string(body), retryIn)
	}
	if contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); contentType != "text/event-stream" {
		c.observer.Malformed("the stream's content type is " + strconv.Quote(contentType))
	}
	c.observer.Connected(resp.Header)
	c.read(resp.Body, cancel)
	return c.retry, true
}

// maxErrorSize bounds what is read of a refusal, in bytes.
const maxErrorSize = 4096

func (c *Client) request(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if c.lastID != "" {
		req.Header.Set("Last-Event-ID", c.lastID)
	}
	if c.authorize != nil {
		if err := c.authorize(req.Header); err != nil {
			return nil, err
		}
	}
	return c.http.Do(req)
}

// retryAfter returns the response's Retry-After, or else the reconnection time.
func (c *Client) retryAfter(resp *http.Response) time.Duration {
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return c.retry
}

// read receives events until the connection ends. It cancels the request if the
// connection is silent for too long.
func (c *Client) read(body io.ReadCloser, cancel context.CancelFunc) {
	silence := time.AfterFunc(maxSilence, func() { c.observer.Silent(); cancel() })
	defer silence.Stop()
	events := New(body, c.lastID, func() { silence.Reset(maxSilence) })
	defer events.Close()
	for {
		e, err := events.Next()
		if err != nil {
			c.observer.Disconnected(c.retry)
			return
		}
		c.lastID = e.ID
		if e.Retry > 0 {
			c.retry = e.Retry
		}
		if e.Data != "" {
			c.observer.Received(e)
		}
	}
}
