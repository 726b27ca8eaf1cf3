package watch

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"
)

// event is one event of a stream.
type event struct{ name, data string }

// stream reads events as the HTML standard has it (9.2.6, "Interpreting an event
// stream"). lastID and retry hold what the stream said last, as an EventSource
// keeps it over its connections.
type stream struct {
	lines  *bufio.Scanner
	lastID string
	retry  time.Duration
}

func newStream(body io.Reader, lastID string, retry time.Duration) *stream {
	return &stream{lines: bufio.NewScanner(body), lastID: lastID, retry: retry}
}

// next returns the next event, and false at the end. An event without its empty
// line is dropped, and so is its id.
func (s *stream) next() (e event, ok bool) {
	id := s.lastID
	for s.lines.Scan() {
		line := s.lines.Text()
		if line == "" {
			s.lastID = id
			if e.data != "" {
				e.data = strings.TrimSuffix(e.data, "\n")
				return e, true
			}
			e = event{}
			continue
		}
		field, value, _ := strings.Cut(line, ":") // a comment has an empty field
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.name = value
		case "data":
			e.data += value + "\n"
		case "id":
			id = value
		case "retry":
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				s.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	return event{}, false
}
