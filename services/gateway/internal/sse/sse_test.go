package sse

import (
	"testing"
	"time"
)

func TestAppendEvent(t *testing.T) {
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

func TestAppendRetry(t *testing.T) {
	t.Parallel()
	if got := string(AppendRetry([]byte("x"), 2741*time.Millisecond+999*time.Microsecond)); got != "xretry: 2741\n" {
		t.Errorf("got %q", got)
	}
}
