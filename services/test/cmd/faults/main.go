// Command faults breaks a whole system on seeded schedules and checks that it
// loses nothing, doubles nothing and shows the truth afterwards.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/rafflecast/rafflecast/services/test/faults"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
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
	only := flag.String("only", "", "only kinds of fault whose name contains this")
	restore := flag.Bool("restore", true, "end every fourth schedule with a restore of the database")
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
	total := &faults.Findings{}
	for seed := *first; seed < *first+uint64(*seeds) && ctx.Err() == nil; seed++ {
		dir := filepath.Join(work, fmt.Sprint("seed-", seed))
		if err := os.Mkdir(dir, 0o711); err != nil { //nolint:gosec // likewise
			return err
		}
		fmt.Printf("seed %d\n", seed)
		found, err := faults.Run(ctx, faults.Config{
			Dir: dir, Programs: programs, Seed: seed, Faults: *count, Only: *only, Restore: *restore && seed%4 == 0, Out: os.Stdout,
		})
		if err != nil {
			return fmt.Errorf("seed %d could not be judged: %w (logs in %s)", seed, err, dir)
		}
		total.Add(found)
		if found.OK() {
			fmt.Printf("seed %d: nothing is wrong\n", seed)
			_ = os.RemoveAll(dir)
		} else {
			found.Report(os.Stdout)
			fmt.Printf("seed %d: FAILED; logs in %s\n", seed, dir)
		}
	}
	total.Report(os.Stdout)
	total.Results(os.Stdout)
	if !total.OK() {
		return fmt.Errorf("something is wrong: run a seed again with --first-seed=N --seeds=1")
	}
	return os.RemoveAll(work)
}
