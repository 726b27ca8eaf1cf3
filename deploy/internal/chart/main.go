// Command chart makes the templates of the Helm chart from the rendered overlay of
// production and the components, so that the two can't differ:
//
//	go run ./internal/chart kubernetes helm/rafflecast/templates
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: chart KUBERNETES TEMPLATES")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// write writes the templates into a directory, from which it removes those that there
// are.
func write(kubernetes, dir string) error {
	files, err := templates(kubernetes)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { //nolint:gosec // G703: the Makefile names it
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // everybody may read them
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}
