package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// system is both services as processes of their own, on real stores.
type system struct {
	clients
	participation, gateway *program
	web                    string // the gateway's URL
}

func start(t *testing.T) *system {
	t.Helper()
	return startIn(t, nil, nil)
}

// startIn starts it with these environment variables.
func startIn(t *testing.T, participation, gateway []string) *system {
	t.Helper()
	database, nats := pgtest.URL(t), natstest.Start(t).URL()
	migrate := launch(t, "participation", "migrate", "--database-url="+database)
	migrate.await("up to date")
	s := &system{}
	s.participation = launchIn(t, participation, "participation", "serve", "--database-url="+database, "--nats-url="+nats,
		"--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--ops-address=127.0.0.1:0")
	entries := s.participation.await(`participation is serving.* grpc=(\S+) http=(\S+)`)
	s.clients = dial(t, entries[1])
	s.gateway = launchIn(t, gateway, "gateway", "serve", "--nats-url="+nats, "--participation-url=http://"+entries[2],
		"--address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--drain-window=1s")
	s.web = "http://" + s.gateway.await(`gateway is serving.* http=(\S+)`)[1]
	s.gateway.await("took a snapshot")
	return s
}

func (s *system) create(t *testing.T, title string, winners int32) int64 {
	t.Helper()
	made, err := s.raffles.CreateRaffle(t.Context(), &rafflev1.CreateRaffleRequest{Title: title, Winners: winners})
	if err != nil {
		t.Fatal(err)
	}
	return made.GetRaffle().GetId()
}

func (s *system) enter(t *testing.T, id int64, member string) *rafflev1.EnterResponse {
	t.Helper()
	resp, err := s.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: id, MemberId: member})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestABrowserSeesTheOddsMoveWhenAMemberEnters(t *testing.T) {
	t.Parallel()
	s := start(t)
	id := s.create(t, "Signed guitar", 3)
	s.watched(t, id)
	tab := browser(t)
	do(t, tab, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(fmt.Sprintf("%s/raffle/%d", s.web, id)))
	until(t, tab, `document.querySelector("#title")?.textContent === "Signed guitar"`)
	until(t, tab, `document.querySelector("#connection").dataset.connection === "live"`)
	until(t, tab, `document.querySelector("#odds").dataset.odds === ""`) // nobody has entered
	evaluate(t, tab, `window.loadedOnce = true`)

	// A member enters over gRPC.
	for i := range 40 {
		s.enter(t, id, fmt.Sprint("member-", i))
		paceForPicture()
	}
	until(t, tab, `document.querySelector("#odds").textContent.includes("7.5")`)
	until(t, tab, `document.querySelector("#entries").textContent.trim() === "40"`)

	// Another one enters on the page, by keyboard alone.
	do(t, tab, chromedp.Focus("#member-id"), chromedp.KeyEvent("minji"), chromedp.KeyEvent(kb.Enter))
	until(t, tab, `document.querySelector("#entries").textContent.trim() === "41"`)
	until(t, tab, `document.querySelector("#enter-message").textContent.trim() !== ""`)
	shoot(t, tab, look{"page", 1200, 1080, "light"})
	shoot(t, tab, look{"page-dark", 1200, 1080, "dark"})
	shoot(t, tab, look{"page-phone", 390, 1180, "light"})
	shoot(t, tab, look{"page-phone-dark", 390, 1180, "dark"})

	// The raffle is closed; the stream ends with that.
	if _, err := s.raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: id}); err != nil {
		t.Fatal(err)
	}
	until(t, tab, `document.querySelector("#state").dataset.state === "CLOSED"`)
	until(t, tab, `document.querySelector("#connection").dataset.connection === "ended"`)
	until(t, tab, `document.querySelector("#enter-button").disabled`)
	until(t, tab, `window.loadedOnce`) // all that without a reload
}

// watched waits until the gateway knows a raffle.
func (s *system) watched(t *testing.T, id int64) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		resp := s.get(t, fmt.Sprintf("/api/v1/raffle/%d/odds", id))
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("raffle %d is not known at the gateway: %s", id, resp.Status)
		}
	}
}

func (s *system) get(t *testing.T, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.web+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestAPlainEventSourceInTheBrowserWorks(t *testing.T) {
	t.Parallel()
	s := start(t)
	id := s.create(t, `<img src=x onerror="window.broken=1">`, 1)
	s.watched(t, id)
	tab := browser(t)
	do(t, tab, chromedp.Navigate(fmt.Sprintf("%s/raffle/%d", s.web, id)))
	until(t, tab, `document.querySelector("#title")?.textContent.startsWith("<img")`) // as text
	evaluate(t, tab, fmt.Sprintf(`
		window.seen = [];
		window.source = new EventSource("/api/v1/raffle/%d/subscribe");
		source.addEventListener("raffle-winning-probability", e => {
			const odds = JSON.parse(e.data);
			seen.push([odds.id, odds.winnerProbability, e.lastEventId]);
		});`, id))
	until(t, tab, `seen.length === 1 && seen[0][1] === null && seen[0][2] === "%d:1"`, id)
	s.enter(t, id, "7")
	until(t, tab, `seen.length === 2 && seen[1][1] === 100 && seen[1][2] === "%d:2"`, id)
	s.enter(t, id, "8")
	until(t, tab, `seen.length === 3 && seen[2][0] === %d && seen[2][1] === 50`, id)
	if _, err := s.raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: id}); err != nil {
		t.Fatal(err)
	}
	// The final event, the end of the stream, and 204 to the return: it stops.
	until(t, tab, `seen.length === 4 && source.readyState === EventSource.CLOSED`)
	until(t, tab, `!window.broken`)
}

func TestEachServiceStopsOnSIGTERM(t *testing.T) {
	t.Parallel()
	s := start(t)
	id := s.create(t, "A", 1)
	s.enter(t, id, "7")
	if took, err := s.participation.stop(syscall.SIGTERM); err != nil || took > 10*time.Second {
		t.Errorf("participation stopped after %v: %v", took, err)
	}
	s.watched(t, id) // the gateway goes on
	if took, err := s.gateway.stop(syscall.SIGTERM); err != nil || took > 10*time.Second {
		t.Errorf("gateway stopped after %v: %v", took, err)
	}
}

// standalone starts everything in one process, as make run does, on free ports.
func launchStandalone(t *testing.T, dir string) (p *program, web, grpc string) {
	t.Helper()
	p = launch(t, "rafflecast", "run", "--data-dir="+dir,
		"--participation-grpc-address=127.0.0.1:0", "--participation-http-address=127.0.0.1:0", "--participation-ops-address=127.0.0.1:0",
		"--gateway-address=127.0.0.1:0", "--gateway-ops-address=127.0.0.1:0")
	web = p.await(`the page +(http://\S+)/$`)[1]
	grpc = p.await(`(\S+) raffle\.v1\.ParticipationService/Enter`)[1]
	return p, web, grpc
}

func TestOneCommandRunsEverythingAndKeepsItsData(t *testing.T) {
	t.Parallel()
	// PostgreSQL runs as another user where the test is root's, so the directory
	// must be one that it can reach: t.TempDir is not.
	dir, err := os.MkdirTemp("", "rafflecast-data-") //nolint:usetesting // as said
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}

	p, web, grpc := launchStandalone(t, dir)
	s := &system{clients: dial(t, grpc), web: web}
	events := bufio.NewScanner(s.get(t, "/api/v1/raffle/1/subscribe").Body)
	if got := nextOdds(t, events); got.Entries != 0 || got.WinnerProbability != nil || got.NextEntryProbability != 100 {
		t.Errorf("first event %+v", got)
	}
	s.enter(t, 1, "7")
	if got := nextOdds(t, events); got.Entries != 1 || *got.WinnerProbability != 100 {
		t.Errorf("after Enter %+v", got)
	}
	resp, err := http.Post(web+"/api/v1/raffle/1?memberId=8", "", nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("POST: %v, %v", resp, err)
	}
	resp.Body.Close()
	if got := nextOdds(t, events); got.Entries != 2 || *got.WinnerProbability != 50 {
		t.Errorf("after POST %+v", got)
	}

	if _, err := p.stop(syscall.SIGKILL); err == nil {
		t.Error("killed, and ended well?")
	}
	p, s.web, _ = launchStandalone(t, dir)
	if got := nextOdds(t, bufio.NewScanner(s.get(t, "/api/v1/raffle/1/subscribe").Body)); got.Entries != 2 {
		t.Errorf("after kill -9 %+v", got)
	}
	if took, err := p.stop(syscall.SIGINT); err != nil || took > 10*time.Second {
		t.Errorf("stopped after %v: %v", took, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres", "data", "postmaster.pid")); !os.IsNotExist(err) {
		t.Errorf("PostgreSQL did not end with its parent: %v", err)
	}
}

func TestASecondRunLeavesTheFirstAlone(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "rafflecast-data-") //nolint:usetesting // PostgreSQL's user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	first, _, _ := launchStandalone(t, dir)
	second := launch(t, "rafflecast", "run", "--data-dir="+dir,
		"--participation-grpc-address=127.0.0.1:0", "--participation-http-address=127.0.0.1:0", "--participation-ops-address=127.0.0.1:0",
		"--gateway-address=127.0.0.1:0", "--gateway-ops-address=127.0.0.1:0")
	second.await("another run uses " + dir)
	if _, err := first.stop(syscall.SIGINT); err != nil {
		t.Error(err)
	}
}

func TestAllThatIsWrongIsToldBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := launch(t, "rafflecast", "run", "--data-dir="+dir, "--participation-queue=0", "--gateway-lifetime=1ms", "--participation-partitions=x")
	p.await("--participation-queue=0: must be")
	p.await("--gateway-lifetime=1ms: must be")
	p.await("--participation-partitions=x: must be")
	<-p.ended
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the data directory was made: %v", err)
	}
}

type event struct {
	Entries              int64
	WinnerProbability    *float64
	NextEntryProbability float64
}

// nextOdds reads the next event with odds.
func nextOdds(t *testing.T, lines *bufio.Scanner) (e event) {
	t.Helper()
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), `data: {"id"`); ok {
			if err := json.Unmarshal([]byte(`{"id"`+data), &e); err != nil {
				t.Fatal(err)
			}
			return e
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return e
}

func TestATakenPortIsNamedWithItsFlag(t *testing.T) {
	t.Parallel()
	s := start(t)
	taken := strings.TrimPrefix(s.web, "http://")
	second := launch(t, "gateway", "serve", "--address="+taken, "--ops-address=127.0.0.1:0")
	second.await(taken + ` is taken by another process.*--address`)
}
