package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
)

// lines sends a whole body and returns the lines of the response.
func (b *testBundle) lines(body string) []string {
	b.t.Helper()
	got := b.do("POST /api/v1/entries:stream", ndjsonType, body)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != ndjsonType {
		b.t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(got.body, `": `, `":`), "\n"), "\n")
}

func line(id int, member string) string {
	return fmt.Sprintf(`{"correlationId":"%d","enter":{"raffleId":"1","memberId":%q}}`, id, member) + "\n"
}

func TestEnterStream_AnswersEachLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 1000
	var body strings.Builder
	for i := range n {
		body.WriteString(line(i, fmt.Sprint("m", i)))
	}
	got := b.lines(body.String() + "\n")
	if len(got) != n {
		t.Fatalf("%d lines, the last %q", len(got), got[len(got)-1])
	}
	for i, l := range got {
		if !strings.HasPrefix(l, `{"result":{`) || !strings.Contains(l, fmt.Sprintf(`"correlationId":"%d"`, i)) || !strings.Contains(l, fmt.Sprintf(`"memberId":"m%d"`, i)) {
			t.Errorf("line %d: %s", i, l)
		}
	}
}

// open begins a stream whose body is what is written to send. It ends after 10 s.
func (b *testBundle) open() (send *io.PipeWriter, resp *http.Response) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	b.t.Cleanup(cancel)
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/api/v1/entries:stream", body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", ndjsonType)
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		send.Close()
		resp.Body.Close()
	})
	return send, resp
}

// Answers come while the body is still being sent.
func TestEnterStream_IsDuplex(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send, resp := b.open()
	answers := bufio.NewScanner(resp.Body)
	for i := range 3 {
		if _, err := io.WriteString(send, line(i, "m")); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() || !strings.Contains(answers.Text(), fmt.Sprintf(`"%d"`, i)) {
			t.Fatalf("answer %d: %q, %v", i, answers.Text(), answers.Err())
		}
	}
	send.Close()
	if answers.Scan() {
		t.Errorf("one more: %q", answers.Text())
	}
}

func TestEnterStream_EndsAtAMalformedLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct{ bad, want string }{
		"unknown":       {`{"enter":{"raffleId":1,"memberld":"7"}}`, `line 2: memberld: `},
		"doubled":       {`{"enter":{"raffleId":1,"raffle_id":1}}`, `line 2: raffle_id: must be given once`},
		"doubled outer": {`{"enter":{},"enter":{}}`, `line 2: enter: must be given once`},
		"two on a line": {`{} {}`, `line 2: must be one JSON object`},
		"no object":     {`7`, `line 2: must be one JSON object`},
		"null":          {`{"enter":null}`, `line 2: enter: must be one JSON object`},
		"wrong type":    {`{"correlationId":"x"}`, `line 2: correlation_id: must be an integer of 64 bits`},
		"long":          {`{"correlationId":"` + strings.Repeat("1", maxBody) + `"}`, `at most 16384 bytes`},
	} {
		got := b.lines(line(1, "m") + c.bad + "\n" + line(3, "m"))
		if len(got) != 2 || !strings.HasPrefix(got[0], `{"result":`) || !strings.HasPrefix(got[1], `{"error":{"code":"INVALID_ARGUMENT","reason":"`) || !strings.Contains(got[1], c.want) {
			t.Errorf("%s: %.200q", name, got)
		}
	}
}

func TestEnterStream_EndsWithTheServersStatus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.grpc.err = failure(t, codes.Unavailable, "the message", &errdetails.ErrorInfo{Reason: "STORE_UNAVAILABLE"})
	got := b.lines(line(1, "m"))
	if len(got) != 2 || got[1] != `{"error":{"code":"UNAVAILABLE","reason":"STORE_UNAVAILABLE","message":"the message"}}` {
		t.Errorf("%q", got)
	}
}

// If the server ends the stream by itself, the response ends, though the client
// could send more.
func TestEnterStream_EndsWhenTheServerDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send, resp := b.open()
	if _, err := io.WriteString(send, line(1, "stop")); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	text := strings.ReplaceAll(string(data), `": `, `":`)
	if !strings.Contains(text, `"ending":{"reason":"SHUTDOWN"}`) || strings.Contains(text, `"error"`) || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestEnterStream_RefusesBeforeItBegins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		request, contentType string
		status               int
	}{
		{"POST /api/v1/entries:stream?x=1", ndjsonType, http.StatusBadRequest},
		{"POST /api/v1/entries:stream", "text/plain", http.StatusUnsupportedMediaType},
		{"POST /api/v1/entries:stream", formType, http.StatusUnsupportedMediaType},
		{"GET /api/v1/entries:stream", "", http.StatusMethodNotAllowed},
	} {
		if got := b.do(c.request, c.contentType, ""); got.status != c.status {
			t.Errorf("%s: %d %s", c.request, got.status, got.body)
		}
	}
}
