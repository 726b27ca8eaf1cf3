package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// dataDir returns a directory that PostgreSQL can enter, which runs under another
// account if the test is root's. t.TempDir is not one.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rafflecast-data-") //nolint:usetesting // as said above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// launchRafflecast starts everything in one process, as make run does, but on free
// ports, with more arguments.
func launchRafflecast(t *testing.T, dir string, more ...string) *program {
	t.Helper()
	return launch(t, "rafflecast", append([]string{
		"run", "--data-dir=" + dir, "--participation-grpc-address=" + anyPort, "--participation-http-address=" + anyPort,
		"--participation-ops-address=" + anyPort, "--gateway-address=" + anyPort, "--gateway-ops-address=" + anyPort,
	}, more...)...)
}

func TestRafflecast_DemoLivesByItself(t *testing.T) {
	t.Parallel()
	p := launchRafflecast(t, dataDir(t), "--demo")
	web := p.awaitLog(`the page +(http://\S+)/$`)[1]
	p.awaitLog(`the demo +Festival pass stays open; .* 700 at most`)
	testenv.AwaitStatus(t, web+"/api/v1/raffles/2/odds", http.StatusOK)  // it is created after the first one
	list := strings.Fields(p.awaitLog(`^  (\S+ list --target=\S+)$`)[1]) // the greeting's command runs as it stands
	if out, err := exec.CommandContext(t.Context(), list[0], list[1:]...).CombinedOutput(); err != nil || !strings.Contains(string(out), "Festival pass") {
		t.Errorf("%q: %v, %s", list, err, out)
	}
	events := subscribe(t, web+"/api/v1/raffles/2/subscribe")
	for events.nextOdds().Entries < 3 { // in two minutes it has a hundred
		continue
	}
	testenv.AwaitStatus(t, web+"/api/v1/raffles/4/odds", http.StatusOK) // the one that is scheduled
	if took, err := p.stop(syscall.SIGINT); err != nil || took > 10*time.Second {
		t.Errorf("stopped after %v: %v", took, err)
	}
}

func TestRafflecast_KeepsItsData(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := launchRafflecast(t, dir)
	web := p.awaitLog(`the page +(http://\S+)/$`)[1]
	c := dial(t, p.awaitLog(`(\S+) raffle\.v1\.ParticipationService/Enter`)[1])
	events := subscribe(t, web+"/api/v1/raffles/1/subscribe")
	if got := events.nextOdds(); got.Entries != 0 || got.WinnerProbability != nil || got.NextEntryProbability != 100 {
		t.Errorf("first event %+v", got)
	}
	c.enter(t, 1, "7")
	if got := events.nextOdds(); got.Entries != 1 || *got.WinnerProbability != 100 {
		t.Errorf("after Enter %+v", got)
	}
	resp, err := http.Post(web+"/api/v1/raffles/1/entries?memberId=8", "", nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("POST: %v, %v", resp, err)
	}
	resp.Body.Close()
	if got := events.nextOdds(); got.Entries != 2 || *got.WinnerProbability != 50 {
		t.Errorf("after POST %+v", got)
	}

	if _, err := p.stop(syscall.SIGKILL); err == nil {
		t.Error("killed, but its exit code is 0")
	}
	p = launchRafflecast(t, dir)
	web = p.awaitLog(`the page +(http://\S+)/$`)[1]
	if got := subscribe(t, web+"/api/v1/raffles/1/subscribe").nextOdds(); got.Entries != 2 {
		t.Errorf("after kill -9 %+v", got)
	}
	if took, err := p.stop(syscall.SIGINT); err != nil || took > 10*time.Second {
		t.Errorf("stopped after %v: %v", took, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres", "data", "postmaster.pid")); !os.IsNotExist(err) {
		t.Errorf("PostgreSQL did not end with its parent: %v", err)
	}
}

func TestRafflecast_LocksItsDataDirectory(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := launchRafflecast(t, dir)
	first.awaitLog("the page")
	launchRafflecast(t, dir).awaitLog("another run uses " + dir)
	if _, err := first.stop(syscall.SIGINT); err != nil {
		t.Error(err)
	}
}

func TestRafflecast_ReportsAllSettingsErrorsBeforeItStarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := launch(
		t,
		"rafflecast",
		"run",
		"--data-dir="+dir,
		"--participation-queue=0",
		"--gateway-lifetime=1ms",
		"--participation-partitions=x",
	)
	p.awaitLog("--participation-queue=0: must be")
	p.awaitLog("--gateway-lifetime=1ms: must be")
	p.awaitLog("--participation-partitions=x: must be")
	if err := p.awaitEnd(); err == nil {
		t.Error("its exit code is 0")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the data directory was created: %v", err)
	}
}
