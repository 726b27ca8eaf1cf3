package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

// maxEvents bounds how many events of a stream are kept: more than a gateway sends
// in an hour, at one every 50 ms.
const maxEvents = 100_000

// subscribe reads a stream until it ends, ctx ends, or wantMore, if not nil,
// returns false for an event.
func (d *doctor) subscribe(
	ctx context.Context,
	c *http.Client,
	query string,
	header http.Header,
	wantMore func(event) bool,
) stream {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	start := time.Now()
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Accept", "text/event-stream")
	resp, head := d.request(ctx, c, d.rafflePath+"/subscribe"+query, header)
	s := stream{head: head, ending: truncated}
	if resp != nil {
		defer resp.Body.Close()
		s.read(resp.Body, start, wantMore)
	}
	s.life = time.Since(start)
	if ctx.Err() != nil {
		s.ending = stillOpen // it ended because we closed it
	}
	return s
}

// read reads events until the stream ends, and records them and how it ended. It
// closes the body.
func (s *stream) read(body io.ReadCloser, start time.Time, wantMore func(event) bool) {
	events := sseclient.New(body, "", func() {
		now := time.Since(start)
		if s.lastRead > 0 {
			s.longestSilence = max(s.longestSilence, now-s.lastRead)
		}
		s.lastRead = now
	})
	defer events.Close()
	s.ending, s.err = s.take(events, start, wantMore)
}

// take records events until the stream ends, and returns how that was.
func (s *stream) take(events *sseclient.Stream, start time.Time, wantMore func(event) bool) (ending, error) {
	for len(s.events) < maxEvents {
		next, err := events.Next()
		switch {
		case errors.Is(err, io.EOF):
			return truncated, nil
		case err != nil:
			return truncated, err
		case next.Data == "" && next.Retry > 0:
			return drained, nil
		case next.Data == "":
			continue
		}
		e, final := newEvent(next, start)
		s.events = append(s.events, e)
		if wantMore != nil && !wantMore(e) {
			return stillOpen, nil
		}
		if final {
			return raffleEnded, nil
		}
	}
	return truncated, fmt.Errorf("%d events arrived, which is more than a gateway sends", maxEvents)
}

// newEvent returns an event as it was received, and whether it is its raffle's last.
func newEvent(received sseclient.Event, start time.Time) (e event, final bool) {
	now := time.Now()
	e = event{name: received.Name, id: received.ID, receivedAt: now, after: now.Sub(start)}
	var data struct {
		At      time.Time
		State   string
		DrawsAt *time.Time
	}
	if json.Unmarshal([]byte(received.Data), &data) == nil {
		e.sentAt = data.At
	}
	return e, e.name == sseclient.OddsEvent && sseclient.IsFinal(data.State, data.DrawsAt != nil)
}
