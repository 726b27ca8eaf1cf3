// Command fuzz runs every fuzz target of the repository.
package main

import (
	"context"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/test/fuzz"
)

// commands are the commands of the program.
type commands struct {
	Run run `cmd:"" help:"Try inputs on each target, and print how many."`
}

type run struct {
	Config fuzz.Config `embed:""`
}

// Run runs the command.
func (r *run) Run(ctx context.Context) error { return fuzz.Run(ctx, r.Config, os.Stdout) }

func main() {
	os.Exit(command.Main("fuzz", "Runs every fuzz target of the repository.", &commands{}))
}
