// Command dashboard prints a Grafana dashboard: rafflecast or raffles. `make dashboard` runs
// it for both. panels.go and raffles.go list the panels.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
)

func main() {
	name := flag.String("name", "rafflecast", "the dashboard: rafflecast or raffles")
	flag.Parse()
	d := map[string]*dashboard{"rafflecast": &operations, "raffles": &raffles}[*name]
	if d == nil {
		log.Fatalf("-name=%s: must be rafflecast or raffles", *name)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(d.object()); err != nil {
		log.Fatal(err)
	}
}
