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
	"testing"
	"time"

	"github.com/launchdarkly/eventsource"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// viewer is a Go client that reconnects by itself, as a browser does.
type viewer struct {
	t      *testing.T
	stream *eventsource.Stream
	last   string
}

func watch(t *testing.T, url string) *viewer {
	t.Helper()
	stream, err := eventsource.SubscribeWithURL(url,
		eventsource.StreamOptionInitialRetry(100*time.Millisecond),
		eventsource.StreamOptionReadTimeout(8*heartbeat),
		eventsource.StreamOptionErrorHandler(func(error) eventsource.StreamErrorHandlerResult {
			return eventsource.StreamErrorHandlerResult{} // comes back
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stream.Close)
	return &viewer{t: t, stream: stream}
}

// next returns the next event with this name.
func (v *viewer) next(name string) eventsource.Event {
	v.t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case e := <-v.stream.Events:
			if e.Event() == name {
				return e
			}
			if e.Event() != "heartbeat" {
				v.t.Fatalf("event %q: %q", e.Event(), e.Data())
			}
		case <-late:
			v.t.Fatalf("no %s event", name)
		}
	}
}

// odds returns the id of the next odds, each of which must be new.
func (v *viewer) odds() string {
	v.t.Helper()
	e := v.next(event)
	var data struct{ ID, Version, Entries int64 }
	if err := json.Unmarshal([]byte(e.Data()), &data); err != nil || data.ID != 1 || data.Entries != data.Version {
		v.t.Errorf("%q: %v", e.Data(), err)
	}
	if e.Id() == v.last {
		v.t.Errorf("%s came twice", v.last)
	}
	v.last = e.Id()
	return v.last
}

func TestGoClient(t *testing.T) {
	t.Parallel()
	w := setup(t)
	v := watch(t, "http://"+w.addr+path)
	if got := v.odds(); got != "1:1" {
		t.Errorf("first: %s", got)
	}
	v.next("heartbeat")
	for version := int64(2); version < 20; version++ {
		w.publish(version)
	}
	for v.odds() != "1:19" {
	}
	w.publishState(20, rafflev1.Raffle_CLOSED)
	if got := v.odds(); got != "1:20" {
		t.Errorf("final: %s", got)
	}
}

func TestCurl(t *testing.T) {
	t.Parallel()
	curl := testenv.NeedProgram(t, "curl")
	w := setup(t)
	for _, args := range [][]string{{}, {"--http1.0"}, {"--compressed"}} {
		cmd := exec.CommandContext(t.Context(), curl, append(args, "-sSNi", "http://"+w.addr+path)...)
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
		for _, want := range []string{"HTTP/1.1 200 OK", "Content-Type: text/event-stream; charset=utf-8", "id: 1:1", "event: " + event} {
			if !slices.Contains(got, want) {
				t.Errorf("%v: no %q in %q", args, want, got)
			}
		}
	}
}

// TestNodeClients reads with npm's eventsource and eventsource-parser.
func TestNodeClients(t *testing.T) {
	t.Parallel()
	node := testenv.NeedProgram(t, "node")
	dir := scratch(t, "sse-clients")
	script, err := os.ReadFile("testdata/clients.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "clients.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "eventsource")); err != nil {
		install := exec.CommandContext(t.Context(), testenv.NeedProgram(t, "npm"), "install", "--prefix", dir, "--no-audit", "--no-fund",
			"eventsource@4.1.1", "eventsource-parser@3.1.1") // the last for Node.js 20
		if out, err := install.CombinedOutput(); err != nil {
			testenv.SkipMissing(t, fmt.Sprintf("way to npm's packages: %v\n%s", err, out))
		}
	}
	w := setup(t)
	cmd := exec.CommandContext(t.Context(), node, "clients.mjs", "http://"+w.addr+path)
	cmd.Dir, cmd.Stderr = dir, t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 2 { // both connected
		lines.Scan()
	}
	w.publish(2)
	w.publishState(3, rafflev1.Raffle_CLOSED)
	var got struct{ Source, Parser []string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &got) != nil {
		t.Fatalf("got %q", lines.Text())
	}
	cmd.Wait()
	for name, ids := range map[string][]string{"eventsource": got.Source, "eventsource-parser": got.Parser} {
		if len(ids) < 2 || ids[0] != "1:1" || ids[len(ids)-1] != "1:3" || len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Errorf("%s saw %v", name, ids)
		}
	}
}
