// Command with-postgres runs another command with TEST_DATABASE_URL set to a
// PostgreSQL of its own.
package main

import (
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
)

// commands are the commands of the program.
type commands struct {
	Run run `cmd:"" help:"Run a command with TEST_DATABASE_URL set to a PostgreSQL that lives as long as the command."`
}

func main() {
	os.Exit(command.Main("with-postgres", "Runs a command with a PostgreSQL of its own.", &commands{}))
}
