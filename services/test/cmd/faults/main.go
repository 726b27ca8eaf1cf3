// Command faults breaks a whole system on seeded schedules and checks that it
// loses nothing, doubles nothing and shows the truth afterwards.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/rafflecast/rafflecast/services/test/faults"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1) //nolint:gocritic // the signal handler ends with the process
	}
}

func run(ctx context.Context) error {
	seeds := flag.Int("seeds", 20, "schedules to run")
	first := flag.Uint64("first-seed", 1, "the first schedule's seed")
	count := flag.Int("faults", 50, "faults in each schedule")
	phase := flag.Int("phase", 10, "faults between two judgements")
	only := flag.String("only", "", "only kinds of fault whose name contains one of these, separated by commas")
	kept := flag.Bool("kept", true, "begin with the schedules that once found something")
	restore := flag.Bool("restore", true, "restore the database to an older dump in the middle of every second schedule")
	cutOff := flag.Bool("cut-off", true, "cut off the NATS server of all services once in each schedule")
	flag.Parse()
	work, err := os.MkdirTemp("", "rafflecast-faults-")
	if err != nil {
		return err
	}
	if err := os.Chmod(work, 0o711); err != nil { //nolint:gosec // PostgreSQL's account passes through
		return err
	}
	programs, err := faults.Build(ctx, work)
	if err != nil {
		return err
	}
	var runs []faults.Config
	if *kept {
		runs = faults.Kept()
	}
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		runs = append(runs, faults.Config{Seed: seed, Faults: *count, Phase: *phase, Only: *only, Restore: *restore && seed%2 == 0, CutOff: *cutOff})
	}
	total := faults.NewFindings()
	var unjudged []error
	for i, cfg := range runs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := one(ctx, cfg, filepath.Join(work, fmt.Sprintf("%d-seed-%d", i, cfg.Seed)), programs, total); err != nil {
			fmt.Println(err)
			unjudged = append(unjudged, err)
		}
	}
	total.Report(os.Stdout)
	total.Results(os.Stdout)
	if len(unjudged) > 0 || !total.OK() {
		return errors.Join(append(unjudged, errors.New("something is wrong: run a seed again with -first-seed=N -seeds=1"))...)
	}
	return os.RemoveAll(work)
}

// one runs one schedule in a directory, which stays if something is wrong.
func one(ctx context.Context, cfg faults.Config, dir string, programs faults.Programs, total *faults.Findings) error {
	if err := os.Mkdir(dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's account passes through
		return err
	}
	cfg.Dir, cfg.Programs, cfg.Out = dir, programs, os.Stdout
	fmt.Printf("seed %d: %d faults %s\n", cfg.Seed, cfg.Faults, cfg.Only)
	found, err := faults.Run(ctx, cfg)
	total.Add(found)
	if err != nil {
		found.Report(os.Stdout)
		return fmt.Errorf("seed %d could not be judged: %w (logs in %s)", cfg.Seed, err, dir)
	}
	if found.OK() {
		fmt.Printf("seed %d: nothing is wrong\n", cfg.Seed)
		return os.RemoveAll(dir)
	}
	found.Report(os.Stdout)
	fmt.Printf("seed %d: FAILED; logs in %s\n", cfg.Seed, dir)
	return nil
}
