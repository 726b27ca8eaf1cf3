package doctor

import (
	"io"
	"strings"
	"testing"
	"time"
)

// endless is a line that comes over and over.
type endless struct{ line, rest string }

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.rest = e.line
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestWhatNeverEndsIsLeft(t *testing.T) {
	t.Parallel()
	for line, events := range map[string]int{"data: " + strings.Repeat("x", 1000) + "\n": 1, "x": 1, "data: 2\n\n": maxEvents} {
		var s stream
		r := &reader{stream: &s, body: io.MultiReader(strings.NewReader("data: 1\n\n"), &endless{line: line}), from: time.Now()}
		if how, err := r.read(); how != cut || err == nil || len(s.events) != events {
			t.Errorf("%.10q: ended as %d, %v, after %d events", line, how, err, len(s.events))
		}
	}
}
