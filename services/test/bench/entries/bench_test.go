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

// settings returns the configuration that some flags set.
func settings(t *testing.T, args ...string) Config {
	t.Helper()
	var c Config
	configtest.Parse(t, &c, args...)
	return c
}

func TestTurnsOf_VariantsChangePlacesEverySecondRound(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "--only=stream,drawn-stream,copy,unary-256,drawn-unary-256,secured-unary-256,unary-1000")
	for round, want := range map[int]string{
		1: "stream drawn-stream copy stream-4000 unary-256 secured-unary-256 drawn-unary-256 unary-1000",
		2: "drawn-stream stream copy stream-4000 drawn-unary-256 secured-unary-256 unary-256 unary-1000",
		3: "stream drawn-stream copy stream-4000 unary-256 secured-unary-256 drawn-unary-256 unary-1000",
	} {
		var got []string
		for _, w := range turnsOf(round, cfg.chosen()) {
			got = append(got, w.name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("round %d: %s", round, got)
		}
	}
}

// The figures of so short a run mean nothing.
func TestBench_EndsWithResults(t *testing.T) {
	t.Parallel()
	if _, err := localpg.Find(t.Context(), localpg.FindOptions{Offline: true}); err != nil {
		testenv.SkipMissing(t, "PostgreSQL: "+err.Error())
	}
	var out bytes.Buffer
	cfg := settings(
		t,
		"--rounds=2",
		"--duration=500ms",
		"--million=0",
		"--tickets=2000",
		"--only=naive,stream,drawn-stream,copy,noop-stream,unary-256,drawn-unary-256,secured-unary-256,unary-1000,noop-unary-1000",
	)
	cfg.Program = []string{os.Args[0], partArgument}
	if err := Run(t.Context(), cfg, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	want := `RESULT stream_per_bound \d\.\d+
RESULT stream4000_per_bound \d\.\d+
RESULT stream_per_copy \d\.\d+
RESULT stream_per_naive \d+\.\d
RESULT unary1000_per_noop \d\.\d+
RESULT draw_cost_ratio \d\.\d+
RESULT draw_cost_ratio_unary256 \d\.\d+
RESULT auth_cost_ratio \d\.\d+
RESULT unary256_p99_ms \d+\.\d+
RESULT stream_entries_per_s \d+
RESULT draw_seconds \d+\.\d
RESULT verify_seconds \d+\.\d
RESULT draw_memory_mb \d+
RESULT verify_memory_mb \d+
$`
	if !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("got\n%s", out.String())
	}
	t.Log(out.String())
}

func TestConfig_ChoosesWorkloads(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "--only=unary,copy")
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	var chosen []string
	for _, w := range cfg.chosen() {
		chosen = append(chosen, w.name)
	}
	if want := []string{"copy", "unary-64", "unary-256", "unary-1000"}; !slices.Equal(chosen, want) {
		t.Errorf("chose %v, want %v", chosen, want)
	}
}

func TestConfig_ReportsAllErrors(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "--rounds=0", "--million=1", "--only=swallow")
	err := cfg.Validate()
	for _, want := range []string{"--rounds=0", "--million=1", "--only=swallow"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestRateRatio_ComparesWithinARound(t *testing.T) {
	t.Parallel()
	one := func(entries int64) turn {
		return turn{result: load.Result{Acknowledged: entries, Elapsed: time.Second}}
	}
	// In the second round everything was ten times slower.
	b := &bench{turns: map[string][]turn{
		"a": {one(500), one(50), one(510)},
		"b": {one(1000), one(100), one(1000)},
	}}
	if got, ok := b.rateRatio("a", "b"); !ok || got != 0.5 {
		t.Errorf("got %v, %v", got, ok)
	}
	if _, ok := b.rateRatio("a", "absent"); ok {
		t.Error("a ratio to a workload that took no part")
	}
}
