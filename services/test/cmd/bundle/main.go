// bundle writes the page's script, with its modules and texts in one file, and its style
// sheet, as browsers get them. It runs in the root of the repository, as make generate calls it.
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
