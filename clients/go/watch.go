package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/launchdarkly/eventsource"
	"google.golang.org/grpc/codes"
)

// Odds is a committed version of a raffle's odds, as a gateway streams it. Numbers that
// may be missing are pointers.
type Odds struct {
	ID                   int64      `json:"id"`
	Epoch                string     `json:"epoch"`   // names the raffle's life
	Version              int64      `json:"version"` // counts its changes; within an epoch a higher one is newer
	State                string     `json:"state"`   // SCHEDULED, OPEN, CLOSED, CANCELLED or DRAWN
	Title                string     `json:"title"`
	Entries              int64      `json:"entries"`
	Members              int64      `json:"members"`
	Winners              int64      `json:"winners"`
	MaxEntriesPerMember  int64      `json:"maxEntriesPerMember"`
	WinnerProbability    *float64   `json:"winnerProbability"`    // percent, that one entry wins; nil before the first entry
	NextEntryProbability *float64   `json:"nextEntryProbability"` // the same with one more entry; nil unless OPEN
	OpensAt              *time.Time `json:"opensAt"`
	ClosesAt             *time.Time `json:"closesAt"`
	DrawsAt              *time.Time `json:"drawsAt"` // while a draw lies ahead
	At                   time.Time  `json:"at"`      // when this version was made
	// Event is the event as it arrived: proto/asyncapi.yaml describes its further fields.
	Event json.RawMessage `json:"-"`
}

const (
	// maxSilence is three heartbeats: a connection that is silent for longer is dead.
	maxSilence = 45 * time.Second
	// maxConnecting bounds the time until a gateway answers, which it does at once. A Service
	// of Kubernetes leads some connections to a machine that has vanished, where nobody does.
	maxConnecting = 10 * time.Second
	// firstRetry is the time between two connections until the gateway sets another.
	firstRetry = 3 * time.Second
	maxRetry   = time.Minute
)

// Watcher watches raffles at a gateway.
type Watcher struct {
	URL string // of the gateway
	// HTTP makes the requests; nil means http.DefaultClient. It must have no Timeout. One of
	// oauth2.NewClient sends a token, which a raffle for members needs.
	HTTP *http.Client
}

// Watch is Watcher.Watch with http.DefaultClient.
func Watch(ctx context.Context, gatewayURL string, ids ...int64) iter.Seq2[Odds, error] {
	w := Watcher{URL: gatewayURL}
	return w.Watch(ctx, ids...)
}

// Watch returns the odds of up to 100 raffles: the newest at once, then each change. The
// sequence ends after the last odds of the last raffle.
//
// An error says that odds do not arrive for now: what was shown is out of date. The next
// connection continues after the last event, so go on ranging; if the error is final
// (an *Error such as RAFFLE_NOT_FOUND, or that of ctx), the sequence ends by itself.
func (w *Watcher) Watch(ctx context.Context, ids ...int64) iter.Seq2[Odds, error] {
	return func(yield func(Odds, error) bool) {
		query := url.Values{}
		for _, id := range ids {
			query.Add("id", strconv.FormatInt(id, 10))
		}
		s := subscription{
			url: strings.TrimSuffix(w.URL, "/") + "/api/v1/raffles/subscribe?" + query.Encode(), http: w.HTTP, retry: firstRetry, yield: yield,
		}
		if s.http == nil {
			s.http = http.DefaultClient
		}
		for {
			err := s.connect(ctx)
			switch {
			case errors.Is(err, errLeft), errors.Is(err, errNoMore):
				return
			case ctx.Err() != nil:
				yield(Odds{}, context.Cause(ctx))
				return
			}
			wait := s.retry
			e, refused := errors.AsType[*Error](err)
			if refused {
				wait = max(e.RetryAfter, time.Second)
			}
			if !yield(Odds{}, err) || refused && !e.mayPass() {
				return
			}
			if !sleep(ctx, pause(0, wait)) {
				<-ctx.Done()
				yield(Odds{}, context.Cause(ctx))
				return
			}
		}
	}
}

var (
	errLeft   = errors.New("the loop was left")
	errNoMore = errors.New("there will be no further odds")
)

// subscription behaves like one EventSource.
type subscription struct {
	url    string
	http   *http.Client
	lastID string
	retry  time.Duration
	yield  func(Odds, error) bool
}

// connect opens a stream and reads it to its end. It returns an error in any case.
func (s *subscription) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return &Error{Code: codes.InvalidArgument, Message: err.Error()}
	}
	req.Header.Set("Accept", "text/event-stream")
	if s.lastID != "" {
		req.Header.Set("Last-Event-ID", s.lastID)
	}
	silence := time.AfterFunc(maxConnecting, cancel)
	defer silence.Stop()
	resp, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer resp.Body.Close()
	silence.Reset(maxSilence)
	if resp.StatusCode == http.StatusNoContent {
		return errNoMore
	}
	contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || contentType != "text/event-stream" {
		return refusal(resp)
	}
	return s.read(resp.Body, silence)
}

// read yields odds until the connection ends.
func (s *subscription) read(body io.ReadCloser, silence *time.Timer) error {
	decoder := eventsource.NewDecoderWithOptions(body, eventsource.DecoderOptionLastEventID(s.lastID))
	for {
		event, err := decoder.Decode()
		if err != nil {
			return fmt.Errorf("watch: the connection ended: %w", err)
		}
		silence.Reset(maxSilence)
		if err := s.receive(event); err != nil {
			_ = body.Close()
			for err := error(nil); err == nil; { // the library's goroutine ends when it was told an error
				_, err = decoder.Decode()
			}
			return err
		}
	}
}

func (s *subscription) receive(event eventsource.Event) error {
	if e, ok := event.(interface{ Retry() int64 }); ok && e.Retry() > 0 {
		s.retry = min(time.Duration(min(e.Retry(), maxRetry.Milliseconds()))*time.Millisecond, maxRetry)
	}
	if event.Event() == "raffle-winning-probability" {
		odds := Odds{Event: json.RawMessage(event.Data())}
		if err := json.Unmarshal(odds.Event, &odds); err != nil {
			return fmt.Errorf("watch: an event can't be read: %w", err)
		}
		if !s.yield(odds, nil) {
			return errLeft
		}
	}
	if e, ok := event.(eventsource.EventWithLastID); ok {
		s.lastID = e.LastEventID()
	}
	return nil
}

// refusal returns the error of a response that is no stream.
func refusal(resp *http.Response) error {
	var body struct {
		Error struct {
			Code            codes.Code
			Reason, Message string
			Metadata        map[string]string
		}
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err := json.Unmarshal(text, &body); err != nil || body.Error.Reason == "" {
		return fmt.Errorf("watch: %s (%s) is no stream of events", resp.Status, resp.Header.Get("Content-Type"))
	}
	b := body.Error
	e := &Error{Code: b.Code, Reason: b.Reason, Message: b.Message, Metadata: b.Metadata}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
