// Command contract-imports writes the .proto files that the contract imports
// from Google into a directory, for buf, which has google/protobuf by itself.
package main

import (
	"fmt"
	"os"

	"github.com/rafflecast/rafflecast/services/test/contract"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: contract-imports DIRECTORY")
		os.Exit(2)
	}
	if err := contract.WriteImports(os.Args[1], false); err != nil {
		fmt.Fprintln(os.Stderr, "contract-imports:", err)
		os.Exit(1)
	}
}
