package sseclient

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzStream reads any bytes as a stream: however the network cuts them, the events are
// the same, and the end is reached.
func FuzzStream(f *testing.F) {
	for _, text := range []string{
		"retry: 2741\nid: 1:1\nevent: raffle-winning-probability\ndata: {}\n\n", "data: a\r\ndata: b\r\n\r\n", ": comment\n\nid\ndata\n\n",
		"id: a\x00b\ndata: 1\n\n", "retry: -1\nretry: 99999999999999999999\ndata: 1\n\n", "data:no space\n\ndata: cut", "\xef\xbb\xbfdata: 1\n\n", "\xff\n\n",
	} {
		f.Add(text)
	}
	read := func(r io.Reader) (events []Event, err error) {
		s := New(io.NopCloser(r), "1:0", nil)
		defer s.Close()
		for {
			e, err := s.Next()
			if err != nil {
				return events, err
			}
			events = append(events, e)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole, err := read(strings.NewReader(text))
		if !errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", text, err)
		}
		pieces, err := read(iotest.OneByteReader(strings.NewReader(text)))
		if !errors.Is(err, io.EOF) || !slices.Equal(whole, pieces) {
			t.Errorf("%q is read as %+v, and byte by byte as %+v, %v", text, whole, pieces, err)
		}
		for _, e := range whole {
			if e.Retry < 0 || e.Retry > maxRetry || strings.ContainsAny(e.ID+e.Name, "\n") {
				t.Errorf("%q: %+v", text, e)
			}
		}
	})
}
