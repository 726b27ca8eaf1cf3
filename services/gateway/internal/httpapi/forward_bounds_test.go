package httpapi

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestForward_IsBoundedInTime(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	timeout := func(c *Config) { c.ForwardTimeout = time.Second }
	f := setupForwarding(t, timeout, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // participation learns that nobody waits any more
		close(ended)
	})
	got := f.refused("POST", "/api/v1/raffles/1/entries", 504, "PARTICIPATION_TIMEOUT")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	<-ended
}

func TestForward_IsBoundedInNumber(t *testing.T) {
	t.Parallel()
	arrived, end := make(chan struct{}, 10), make(chan struct{})
	f := setupForwarding(t, func(c *Config) { c.ForwardLimit = 2 }, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-end
		answerJSON(http.StatusOK, `{}`)(w, r)
	})
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() {
			if status, body := f.body("POST", "/api/v1/raffles/1/entries"); status != 200 {
				t.Errorf("a forwarded request: %d %q", status, body)
			}
		})
		<-arrived
	}
	if got := f.refused("POST", "/api/v1/raffle/1", 503, "BUSY"); got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if len(f.taken()) != 2 {
		t.Error("the third is forwarded")
	}
	close(end)
	waiting.Wait()
	if status, _ := f.body("POST", "/api/v1/raffles/1/entries"); status != 200 { // the places are free again
		t.Errorf("a later request: %d", status)
	}
}

// As many connections are kept as requests may be under way, or else a crowd would open new
// ones all the time.
func TestForward_KeepsItsConnections(t *testing.T) {
	t.Parallel()
	const n = 10
	arrived, end := make(chan struct{}), make(chan struct{})
	f := setupForwarding(t, func(c *Config) { c.ForwardLimit = n }, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-end
		answerJSON(http.StatusOK, `{}`)(w, r)
	})
	conns := map[string]bool{}
	for range 5 {
		var waiting sync.WaitGroup
		for range n {
			waiting.Go(func() {
				if status, body := f.body("POST", "/api/v1/raffles/1/entries"); status != 200 {
					t.Errorf("a forwarded request: %d %q", status, body)
				}
			})
		}
		for range n {
			<-arrived
		}
		for range n {
			end <- struct{}{}
		}
		waiting.Wait()
		for _, r := range f.taken() {
			conns[r.RemoteAddr] = true
		}
	}
	// One may be busy for a moment longer than its request.
	if len(conns) > 2*n {
		t.Errorf("%d connections for %d requests at once", len(conns), n)
	}
}

func TestForward_DoesNotBlameParticipationForAClientThatLeaves(t *testing.T) {
	t.Parallel()
	arrived, ended := make(chan struct{}), make(chan struct{})
	refusals := make(chan string, 10)
	f := setupForwarding(t, func(c *Config) { c.Refused = func(reason string) { refusals <- reason } },
		func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
			close(ended)
		})
	conn := f.dial()
	if _, err := io.WriteString(conn, "POST /api/v1/raffles/1/entries HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-arrived
	conn.Close()
	<-ended
	f.refused("GET", "/api/v1/nothing", 404, "PATH_NOT_FOUND")
	if got := <-refusals; got != "path_not_found" {
		t.Errorf("refused: %s", got)
	}
}

func TestForward_CutsAnswersThatStall(t *testing.T) {
	t.Parallel()
	timeout := func(c *Config) { c.ForwardTimeout = 2 * time.Second } // within which the answer begins on a busy machine
	f := setupForwarding(t, timeout, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		answerJSON(http.StatusOK, `{`)(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	conn := f.dial()
	if _, err := io.WriteString(conn, "POST /api/v1/raffles/1/entries HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(conn); err != nil || strings.Contains(string(body), "}") {
		t.Errorf("%q, %v", body, err) // the connection does not end, or not early
	}
}

func TestForward_CutsClientsThatDoNotReadTheirAnswer(t *testing.T) {
	t.Parallel()
	large := `"` + strings.Repeat("x", 64<<20) + `"` // more than sockets hold
	f := setupForwarding(t, func(c *Config) { c.ForwardLimit, c.ForwardTimeout = 1, 2*time.Second },
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/v1/raffle/2" {
				answerJSON(http.StatusOK, `{}`)(w, r)
			} else {
				answerJSON(http.StatusOK, large)(w, r)
			}
		})
	resp := f.get("POST", "/api/v1/raffle/1") // its body is not read
	testenv.Eventually(t, "the place is free", 10*time.Second, func() bool {
		status, _ := f.body("POST", "/api/v1/raffle/2")
		return status == http.StatusOK
	})
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("all of the answer arrives: %d bytes", n)
	}
}

func TestForward_LeavesNoDeadlineOnTheConnection(t *testing.T) {
	t.Parallel()
	timeouts := func(c *Config) { c.ForwardTimeout, c.BodyTimeout = 1500*time.Millisecond, 1500*time.Millisecond }
	f := setupForwarding(t, timeouts, answerJSON(http.StatusOK, `{}`))
	f.publish(update(1, 1))
	conn := f.dial()
	read := bufio.NewReader(conn)
	send := func(request string) *http.Response {
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(read, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp
	}
	const rest = " HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\nContent-Length: 2\r\n\r\n{}"
	if resp := send("POST /api/v1/raffle/1" + rest); resp.StatusCode != http.StatusOK {
		t.Errorf("an entry: %s", resp.Status)
	}
	from := time.Now()
	resp := send("GET /api/v1/raffles/1/odds?wait=4s" + rest)
	if took := time.Since(from); resp.StatusCode != http.StatusNotModified || took < 4*time.Second {
		t.Errorf("a long poll after it: %s after %v", resp.Status, took)
	}
}
