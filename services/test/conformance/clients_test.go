package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/launchdarkly/eventsource"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// watcher is a Go client that reconnects by itself, as a browser does.
type watcher struct {
	t      *testing.T
	stream *eventsource.Stream
	lost   *atomic.Int32 // streams
	lastID string
}

func watch(t *testing.T, url string) *watcher {
	t.Helper()
	lost := new(atomic.Int32)
	stream, err := eventsource.SubscribeWithURL(url,
		eventsource.StreamOptionInitialRetry(100*time.Millisecond),
		eventsource.StreamOptionReadTimeout(8*heartbeat),
		eventsource.StreamOptionErrorHandler(func(error) eventsource.StreamErrorHandlerResult {
			lost.Add(1)
			return eventsource.StreamErrorHandlerResult{} // it reconnects
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stream.Close)
	return &watcher{t: t, stream: stream, lost: lost}
}

// next returns the next event with this name.
func (w *watcher) next(name string) eventsource.Event {
	w.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e := <-w.stream.Events:
			if e.Event() == name {
				return e
			}
			if e.Event() != "heartbeat" {
				w.t.Fatalf("event %q: %q", e.Event(), e.Data())
			}
		case <-timeout:
			w.t.Fatalf("no %s event within 20 s", name)
		}
	}
}

// nextOdds returns the id of the next event with odds, which must not have been
// received before.
func (w *watcher) nextOdds() string {
	w.t.Helper()
	e := w.next(oddsEvent)
	var data struct{ ID, Version, Entries int64 }
	if err := json.Unmarshal([]byte(e.Data()), &data); err != nil || data.ID != 1 || data.Entries != data.Version {
		w.t.Errorf("%q: %v", e.Data(), err)
	}
	if e.Id() == w.lastID {
		w.t.Errorf("%s came twice", w.lastID)
	}
	w.lastID = e.Id()
	return w.lastID
}

func TestGoClient_ReadsStreams(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := watch(t, "http://"+b.address+path)
	if got := w.nextOdds(); got != eventID(1) {
		t.Errorf("first: %s", got)
	}
	w.next("heartbeat")
	for version := int64(2); version < 20; version++ {
		b.publish(version)
	}
	for w.nextOdds() != eventID(19) {
	}
	b.publishState(20, rafflev1.Raffle_CLOSED)
	if got := w.nextOdds(); got != eventID(20) {
		t.Errorf("final: %s", got)
	}
}

func TestCurl_ReadsStreams(t *testing.T) {
	t.Parallel()
	curl := testenv.NeedProgram(t, "curl")
	b := setup(t)
	for _, args := range [][]string{{}, {"--http1.0"}, {"--compressed"}} {
		cmd := exec.CommandContext(t.Context(), curl, append(args, "-sSNi", "http://"+b.address+path)...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		var got []string
		for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "event: heartbeat") {
			if !lines.Scan() {
				t.Fatalf("%v: ended after %q", args, got)
			}
			got = append(got, lines.Text())
		}
		cmd.Process.Kill()
		cmd.Wait()
		for _, want := range []string{"HTTP/1.1 200 OK", "Content-Type: text/event-stream; charset=utf-8", "id: " + eventID(1), "event: " + oddsEvent} {
			if !slices.Contains(got, want) {
				t.Errorf("%v: no %q in %q", args, want, got)
			}
		}
	}
}

// npm's eventsource and eventsource-parser.
func TestNodeClients_ReadStreams(t *testing.T) {
	t.Parallel()
	node, dir := testenv.NeedProgram(t, "node"), installNodeClients(t)
	b := setup(t)
	cmd := exec.CommandContext(t.Context(), node, "clients.mjs", "http://"+b.address+path)
	cmd.Dir, cmd.Stderr = dir, t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 2 { // until both clients are connected
		lines.Scan()
	}
	b.publish(2)
	b.publishState(3, rafflev1.Raffle_CLOSED)
	var got struct{ Source, Parser []string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &got) != nil {
		t.Fatalf("got %q", lines.Text())
	}
	cmd.Wait()
	for name, ids := range map[string][]string{"eventsource": got.Source, "eventsource-parser": got.Parser} {
		if len(ids) < 2 || ids[0] != eventID(1) || ids[len(ids)-1] != eventID(3) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Errorf("%s saw %v", name, ids)
		}
	}
}

// installNodeClients installs npm's packages, if an earlier run has not, and
// copies the script that uses them. It returns the directory of both, below .build.
func installNodeClients(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../.build/sse-clients")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/clients.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "clients.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "eventsource")); err == nil {
		return dir
	}
	install := exec.CommandContext(
		t.Context(),
		testenv.NeedProgram(t, "npm"),
		"install",
		"--prefix",
		dir,
		"--no-audit",
		"--no-fund",
		"eventsource@4.1.1",
		"eventsource-parser@3.1.1",
	) // the last versions for Node.js 20
	if out, err := install.CombinedOutput(); err != nil {
		testenv.SkipMissing(t, fmt.Sprintf("access to npm's packages: %v\n%s", err, out))
	}
	return dir
}
