// Package sse writes the wire format of Server-Sent Events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html). It is pure.
package sse

import (
	"bytes"
	"strconv"
	"time"
)

// ContentType is the media type of a stream.
const ContentType = "text/event-stream; charset=utf-8"

// AppendEvent appends an event to b. An empty id or event is left out. Neither may
// contain a line break. Data that contains line feeds is written as several lines,
// which a client joins again.
func AppendEvent(b []byte, id, event string, data []byte) []byte {
	if id != "" {
		b = appendField(b, "id", id)
	}
	if event != "" {
		b = appendField(b, "event", event)
	}
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		b = append(b, "data: "...)
		b = append(b, line...)
		b = append(b, '\n')
	}
	return append(b, '\n')
}

// AppendID appends an id without an event. Once an empty line or an event follows, a
// client remembers the id as its last event id, and dispatches nothing for it.
func AppendID(b []byte, id string) []byte { return appendField(b, "id", id) }

// AppendRetry appends how long a client should wait before it connects again. It is
// rounded down to milliseconds.
func AppendRetry(b []byte, d time.Duration) []byte {
	return appendField(b, "retry", strconv.FormatInt(d.Milliseconds(), 10))
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, '\n')
}
