// Command bench-system measures the whole system: how old odds are when they arrive at
// viewers. It needs 20,000 open files a process.
package main

import (
	"context"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	bench "github.com/rafflecast/rafflecast/services/test/bench/system"
)

// commands are the commands of the program. The hidden ones are parts of the benchmark,
// which run starts as processes of their own.
type commands struct {
	Run   run         `cmd:"" default:"withargs" help:"Measure, and print the results. This is what the program does if no command is named."`
	Parts bench.Parts `embed:""`
}

type run struct {
	Config bench.Config `embed:""`
}

// Run runs the command.
func (r *run) Run(ctx context.Context) error { return bench.Run(ctx, r.Config, os.Stdout, os.Stderr) }

func main() {
	os.Exit(command.Main("bench-system", "Measures how old odds are when they arrive at viewers, with everything running.", &commands{}))
}
