// bundle writes the page's script: its modules and texts in one file, as browsers load it.
// It runs in the root of the repository, as make generate calls it.
package main

import (
	"fmt"
	"os"

	"github.com/rafflecast/rafflecast/services/test/bundle"
)

func main() {
	if err := bundle.Write("services/gateway/web"); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}
