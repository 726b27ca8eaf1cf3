// Command rafflecast runs the whole system in one process, and is the tool of those who
// organise raffles and of those who operate the system.
package main

import (
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/commands"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
)

func main() {
	terminal := console.New(os.Stdin, os.Stdout, os.Stderr, os.Getenv("NO_COLOR"))
	os.Exit(command.Main("rafflecast", commands.Description, &commands.Commands{}, terminal))
}
