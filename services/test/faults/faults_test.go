package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

const (
	// testFaults is how many faults of each schedule are thrown.
	testFaults = 15
	// keptTime is how long the test begins schedules that once found something.
	keptTime = 45 * time.Second
)

// TestRun_FindsNothing breaks a whole system for some two minutes: on schedules that once
// found something, as far as there is time, and on two fixed ones, in one of which the NATS
// server of all services is cut off. `make faults` runs the whole of them, and many more.
func TestRun_FindsNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes two minutes")
	}
	if os.Getenv("TEST_DATABASE_URL") == "" {
		testenv.SkipMissing(t, "TEST_DATABASE_URL: `make test` installs a PostgreSQL and sets it")
	}
	work := shortTempDir(t)
	programs, err := Build(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	began, kept := time.Now(), Kept()
	for i, cfg := range append(kept, Config{Seed: 1, Faults: testFaults, Restore: true}, Config{Seed: 2, Faults: testFaults, CutOff: true}) {
		if i < len(kept) && time.Since(began) > keptTime {
			t.Logf("a schedule that is kept was not run: seed %d", cfg.Seed)
			continue
		}
		cfg.Faults = min(cfg.Faults, testFaults)
		cfg.Dir, cfg.Programs, cfg.Clients, cfg.Out = filepath.Join(work, fmt.Sprint(i)), programs, 150, t.Output()
		if err := os.Mkdir(cfg.Dir, 0o711); err != nil {
			t.Fatal(err)
		}
		found, err := Run(t.Context(), cfg)
		if missing, ok := errors.AsType[*MissingError](err); ok {
			testenv.SkipMissing(t, missing.Program)
		}
		found.Report(t.Output())
		found.Results(t.Output())
		if err != nil {
			t.Fatalf("seed %d could not be judged: %v", cfg.Seed, err)
		}
		if cfg.CutOff && found.SlowestCutOff == 0 {
			t.Errorf("seed %d: it was not judged how a NATS server that is cut off is left", cfg.Seed)
		}
		if !found.OK() {
			t.Errorf("seed %d: something is wrong", cfg.Seed)
			logs, err := os.MkdirTemp("", "rafflecast-faults-") //nolint:usetesting // it stays for whoever looks for the cause
			if err == nil {
				t.Logf("the logs are in %s: %v", logs, os.CopyFS(logs, os.DirFS(cfg.Dir)))
			}
		}
	}
}

// shortTempDir is t.TempDir for PostgreSQL's account, which passes through.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rafflecast-faults-") //nolint:usetesting // nobody else passes through the parent of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}
