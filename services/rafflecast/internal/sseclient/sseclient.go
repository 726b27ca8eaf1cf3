// Package sseclient reads a gateway's Server-Sent Events for our tools. The
// eventsource library decodes them; this package adds what a diagnosis needs
// beside events: when bytes arrived, the reconnection time that a server set, and
// a bound on the size of one event.
package sseclient

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/launchdarkly/eventsource"
)

// The names of a gateway's events.
const (
	OddsEvent      = "raffle-winning-probability"
	HeartbeatEvent = "heartbeat"
	ResetEvent     = "reset"
)

// IsFinal reports whether odds with this state are the last ones of a raffle, so that
// its stream ends with them. A closed raffle whose draw lies ahead will have others.
func IsFinal(state string, drawAhead bool) bool {
	return state == "CANCELLED" || state == "DRAWN" || state == "CLOSED" && !drawAhead
}

// maxEventSize bounds what is read for one event, in bytes.
const maxEventSize = 1 << 20

// maxRetry is the longest reconnection time that is obeyed.
const maxRetry = time.Hour

// Event is what the server sent between two empty lines. It may have no data: an
// EventSource would not dispatch it, but obeys its Retry.
type Event struct {
	Name  string
	ID    string // the last event id of the stream, as of this event
	Data  string
	Retry time.Duration // the reconnection time that it sets, an hour at most; 0 if it sets none
}

// Stream reads one response. Make it with New, and close it.
type Stream struct {
	body    io.ReadCloser
	decoder *eventsource.Decoder
	onRead  func()

	unread  atomic.Int64          // bytes read since the last event
	readErr atomic.Pointer[error] // what ended the body, in its own words
	ended   bool                  // the library has returned an error, and may not be called again
}

// New returns a stream of the events in body. lastEventID is the id with which the
// request resumed, "" if it did not. onRead, if not nil, is called whenever bytes
// have arrived, on another goroutine, until Next has returned an error or Close has
// returned.
func New(body io.ReadCloser, lastEventID string, onRead func()) *Stream {
	s := &Stream{body: body, onRead: onRead}
	s.decoder = eventsource.NewDecoderWithOptions(reader{s}, eventsource.DecoderOptionLastEventID(lastEventID))
	return s
}

// Next returns the next event. An event without its empty line is not returned. At
// the end of the body the error is io.EOF, after any other failure that failure.
func (s *Stream) Next() (Event, error) {
	if s.ended {
		return Event{}, io.EOF
	}
	decoded, err := s.decoder.Decode()
	if err != nil {
		s.ended = true
		if own := s.readErr.Load(); own != nil {
			err = *own // the library may have replaced it
		}
		return Event{}, err
	}
	s.unread.Store(0)
	e := Event{Name: decoded.Event(), Data: decoded.Data()}
	if d, ok := decoded.(eventsource.EventWithLastID); ok {
		e.ID = d.LastEventID()
	}
	if d, ok := decoded.(interface{ Retry() int64 }); ok {
		e.Retry = time.Duration(max(0, min(d.Retry(), maxRetry.Milliseconds()))) * time.Millisecond
	}
	return e, nil
}

// Close closes the body, which must end a Read that is waiting, and ends the
// library's goroutine, which would otherwise wait for ever until its next line is
// taken. Idempotent.
func (s *Stream) Close() {
	_ = s.body.Close()
	for !s.ended {
		_, _ = s.Next()
	}
}

// reader is what the library reads from.
type reader struct{ s *Stream }

// Read implements io.Reader.
func (r reader) Read(p []byte) (int, error) {
	n, err := r.s.body.Read(p)
	if n > 0 && r.s.onRead != nil {
		r.s.onRead()
	}
	if r.s.unread.Add(int64(n)) > maxEventSize+int64(len(p)) {
		err = fmt.Errorf("an event has more than %d bytes", maxEventSize)
	}
	if err != nil {
		r.s.readErr.Store(&err)
	}
	return n, err
}
