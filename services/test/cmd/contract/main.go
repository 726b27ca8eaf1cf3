// Command contract writes what callers in other languages need of the contract.
package main

import (
	"fmt"
	"os"

	"github.com/rafflecast/rafflecast/services/test/contract"
)

const usage = `usage, at the top of the repository:
  contract folder DIRECTORY RULES   write the folder for callers in other languages; RULES is a
                                    directory with buf/validate/validate.proto
  contract imports DIRECTORY        write the .proto files that the contract imports from Google, for buf
  contract openapi SWAGGER OPENAPI  make the OpenAPI document of what protoc-gen-openapiv2 made
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "contract:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "imports":
		return contract.WriteImports(args[1], ".", false)
	case len(args) == 3 && args[0] == "folder":
		return contract.WriteFolder(args[1], ".", args[2])
	case len(args) == 3 && args[0] == "openapi":
		return openAPI(args[1], args[2])
	}
	fmt.Fprint(os.Stderr, usage)
	os.Exit(2)
	return nil
}

func openAPI(swagger, to string) error {
	data, err := os.ReadFile(swagger) //nolint:gosec // the caller names it
	if err != nil {
		return err
	}
	document, err := contract.OpenAPI(data)
	if err != nil {
		return err
	}
	return os.WriteFile(to, document, 0o644) //nolint:gosec // for everybody to read
}
