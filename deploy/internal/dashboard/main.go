// Command dashboard prints the Grafana dashboard, grafana/rafflecast.json. `make
// dashboard` runs it. panels.go lists the panels.
package main

import (
	"encoding/json"
	"log"
	"os"
)

func main() {
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(dashboard(rows)); err != nil {
		log.Fatal(err)
	}
}
