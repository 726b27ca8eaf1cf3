//go:build unix

package bench

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config/configtest"
	"github.com/rafflecast/rafflecast/services/rafflecast/load"
	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// partArgument makes the test binary a program that runs one part.
const partArgument = "bench-part"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == partArgument {
		os.Exit(command.Main("bench", "Runs a part.", &struct {
			Part partCommand `cmd:"" name:"bench-part"`
		}{}))
	}
	os.Exit(m.Run())
}

type partCommand struct {
	Config PartConfig `embed:""`
}

// Run runs the command.
func (c *partCommand) Run(ctx context.Context, log *slog.Logger) error {
	return RunPart(ctx, c.Config, log)
}

// settings returns the configuration that these arguments give.
func settings(t *testing.T, args ...string) Config {
	t.Helper()
	var c Config
	configtest.Parse(t, &c, args...)
	return c
}

// The figures of so short a run mean nothing.
func TestAShortRunEndsWithTheResults(t *testing.T) {
	t.Parallel()
	if _, err := localpg.Find(t.Context(), localpg.FindOptions{Offline: true}); err != nil {
		testenv.SkipMissing(t, "PostgreSQL: "+err.Error())
	}
	var out bytes.Buffer
	cfg := settings(t, "--rounds=2", "--duration=200ms", "--million=0", "--only=naive,stream,copy,unary-256,unary-1000,noop-unary-1000")
	cfg.Program = []string{os.Args[0], partArgument}
	if err := Run(t.Context(), cfg, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	want := `RESULT stream_per_copy \d\.\d+
RESULT stream_per_naive \d+\.\d
RESULT unary1000_per_noop \d\.\d+
RESULT unary256_p99_ms \d+\.\d+
RESULT stream_entries_per_s \d+
$`
	if !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("got\n%s", out.String())
	}
	t.Log(out.String())
}

func TestConfig_ReportsAllErrors(t *testing.T) {
	t.Parallel()
	good := settings(t, "--only=unary,copy")
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	var chosen []string
	for _, k := range good.chosen() {
		chosen = append(chosen, k.name)
	}
	if want := []string{"copy", "unary-64", "unary-256", "unary-1000"}; !slices.Equal(chosen, want) {
		t.Errorf("chose %v, want %v", chosen, want)
	}
	bad := settings(t, "--rounds=0", "--million=1", "--only=swallow")
	err := bad.Validate()
	for _, want := range []string{"--rounds=0", "--million=1", "--only=swallow"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestRatiosAreMadeWithinARound(t *testing.T) {
	t.Parallel()
	one := func(entries int64) turn {
		return turn{Result: load.Result{Acknowledged: entries, Elapsed: time.Second}}
	}
	var out bytes.Buffer
	// In the second round everything took ten times as long.
	b := &bench{out: &out, turns: map[string][]turn{
		"a": {one(500), one(50), one(510)},
		"b": {one(1000), one(100), one(1000)},
	}}
	b.ratio("a_per_b", "a", "b", result)
	b.ratio("a_per_absent", "a", "absent", result)
	if got := out.String(); got != "RESULT a_per_b 0.500\n" {
		t.Errorf("got %q", got)
	}
}

func TestTheMiddle(t *testing.T) {
	t.Parallel()
	if got := middle([]float64{9, 1, 5}); got != 5 {
		t.Errorf("of three: %v", got)
	}
	if got := middle([]float64{9, 1, 5, 7}); got != 6 {
		t.Errorf("of four: %v", got)
	}
}

func TestTheCPUOfThisProcessIsSeenFromOutside(t *testing.T) {
	t.Parallel()
	if readStat(os.Getpid()).parent != os.Getppid() {
		t.Skip("there is no /proc")
	}
	before, own := readStat(os.Getpid()).own, selfCPU()
	for selfCPU()-own < 5*tick {
		continue // this is the use
	}
	if used := readStat(os.Getpid()).own - before; used < 4*tick {
		t.Errorf("used %v, saw %v", 5*tick, used)
	}
	if bytes, err := resident(os.Getpid()); err != nil || bytes < 1<<20 {
		t.Errorf("resident: %d, %v", bytes, err)
	}
}
