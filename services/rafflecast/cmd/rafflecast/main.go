// Command rafflecast runs the whole system in one process, puts load on it, watches
// it, and diagnoses the proxies between it and its viewers.
package main

import (
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
)

func main() {
	os.Exit(command.Main("rafflecast", "Live odds for raffles: the whole system in one process, and tools for it.", &commands{}))
}
