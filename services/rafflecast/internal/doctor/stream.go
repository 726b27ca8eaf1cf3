package doctor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// subscribe reads a stream until it ends, ctx ends, or more, where set, wants no
// more of it. More is called for each event.
func (d *doctor) subscribe(ctx context.Context, c *http.Client, query string, header http.Header, more func(event) bool) (s stream) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	from := time.Now()
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Accept", "text/event-stream")
	resp, head := d.request(ctx, c, d.raffle+"/subscribe"+query, header)
	s.head = head
	if resp == nil {
		s.life = time.Since(from)
		s.ending = ended(ctx, cut)
		return s
	}
	defer resp.Body.Close()
	r := &reader{stream: &s, body: resp.Body, from: from, more: more}
	s.ending, s.err = r.read()
	s.ending = ended(ctx, s.ending)
	s.life = time.Since(from)
	return s
}

// ended tells a stream that we stopped from one that was.
func ended(ctx context.Context, how ending) ending {
	if ctx.Err() != nil {
		return watching
	}
	return how
}

// maxEvents bounds what is kept of a stream: more than an hour of a gateway's, one
// every 50 ms.
const maxEvents = 100_000

// reader reads events as https://html.spec.whatwg.org/multipage/server-sent-events.html
// has them, and notes when they came.
type reader struct {
	stream *stream
	body   io.Reader
	from   time.Time
	more   func(event) bool
}

// Read reads from the body and notes when something came.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if n > 0 {
		now := time.Since(r.from)
		if r.stream.heard > 0 {
			r.stream.longest = max(r.stream.longest, now-r.stream.heard)
		}
		r.stream.heard = now
	}
	return n, err
}

// read returns how the stream ended.
func (r *reader) read() (ending, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxBody)
	var b block
	for lines.Scan() {
		if line := lines.Text(); line != "" {
			if b.take(line); len(b.data) > maxBody { // no gateway's, and it might never end
				return cut, fmt.Errorf("an event has more than %d bytes", maxBody)
			}
			continue
		}
		if b.data == "" {
			if b.retry {
				return sentAway, nil
			}
			b = block{}
			continue
		}
		e, final := b.event(r.from)
		b = block{}
		if r.stream.events = append(r.stream.events, e); len(r.stream.events) == maxEvents {
			return cut, fmt.Errorf("%d events have come, of which no gateway sends so many", maxEvents)
		}
		if r.more != nil && !r.more(e) {
			return watching, nil
		}
		if final {
			return finished, nil
		}
	}
	return cut, lines.Err()
}

// block is what stands between two empty lines.
type block struct {
	name, id, data string
	retry          bool
}

func (b *block) take(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		b.name = value
	case "id":
		b.id = value
	case "data":
		b.data += value + "\n"
	case "retry":
		b.retry = true
	}
}

// event returns the event of a block, and whether it is its raffle's last.
func (b *block) event(from time.Time) (e event, final bool) {
	now := time.Now()
	e = event{name: b.name, id: b.id, came: now, at: now.Sub(from)}
	var data struct {
		At    time.Time
		State string
	}
	if json.Unmarshal([]byte(b.data), &data) == nil {
		e.sent = data.At
	}
	return e, e.name == oddsEvent && slices.Contains([]string{"CLOSED", "CANCELLED", "DRAWN"}, data.State)
}
