// Command dashboard prints grafana/rafflecast.json, the dashboard of Grafana:
// `make dashboard`. panels.go says what is on it.
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
	if err := out.Encode(layOut(rows)); err != nil {
		log.Fatal(err)
	}
}
