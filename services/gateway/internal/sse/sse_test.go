package sse

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAppendEvent_WritesBlock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ id, event, data, want string }{
		{"1:57", "odds", `{"id":1}`, "id: 1:57\nevent: odds\ndata: {\"id\":1}\n\n"},
		{"", "heartbeat", "{}", "event: heartbeat\ndata: {}\n\n"},
		{"", "", "two\nlines", "data: two\ndata: lines\n\n"},
		{"", "", "", "data: \n\n"},
	} {
		if got := string(AppendEvent(nil, c.id, c.event, []byte(c.data))); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestAppendRetry_WritesMilliseconds(t *testing.T) {
	t.Parallel()
	if got := string(AppendRetry([]byte("x"), 2741*time.Millisecond+999*time.Microsecond)); got != "xretry: 2741\n" {
		t.Errorf("got %q", got)
	}
}

// FuzzAppendEvent parses what was written as the standard asks clients to.
func FuzzAppendEvent(f *testing.F) {
	f.Add("1:57", "odds", []byte(`{"id":1}`))
	f.Add("", "", []byte("two\nlines\n"))
	f.Add("1", "", []byte("\n\n: no comment\nid: 2"))
	f.Fuzz(func(t *testing.T, id, event string, data []byte) {
		if strings.ContainsAny(id+event, "\r\n\x00") || bytes.ContainsAny(data, "\r") {
			return // the caller must not
		}
		block := string(AppendEvent(nil, id, event, data))
		lines := strings.Split(block, "\n")
		if n := len(lines); lines[n-1] != "" || lines[n-2] != "" || slices.Contains(lines[:n-2], "") {
			t.Fatalf("not one block: %q", block)
		}
		got := make(map[string][]string)
		for _, line := range lines[:len(lines)-2] {
			name, value, _ := strings.Cut(line, ":")
			got[name] = append(got[name], strings.TrimPrefix(value, " "))
		}
		if strings.Join(got["data"], "\n") != string(data) || strings.Join(got["id"], "|") != id || strings.Join(got["event"], "|") != event {
			t.Errorf("%q was parsed as %q", block, got)
		}
	})
}
