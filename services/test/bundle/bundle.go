// Package bundle makes the page's script of its modules and texts, and a smaller style
// sheet, with esbuild. Both are committed, so that neither building nor running a gateway
// needs esbuild.
package bundle

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// Files are what Make makes, of the sources with the same names in assets.
var Files = []string{"page.js", "style.css"}

// Make returns one of the files, for the page whose sources are in a directory.
func Make(dir, name string) ([]byte, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints:       []string{filepath.Join(dir, "assets", name)},
		Bundle:            true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		Charset:           api.CharsetUTF8,
		External:          []string{"/draw/*"}, // loaded by whoever checks a draw
	})
	if len(result.Errors) > 0 {
		return nil, errors.New(result.Errors[0].Text)
	}
	return result.OutputFiles[0].Contents, nil
}

// Write writes the files beside their sources, into bundle.
func Write(dir string) error {
	for _, name := range Files {
		made, err := Make(dir, name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "bundle", name), made, 0o644); err != nil { //nolint:gosec // they are sources
			return err
		}
	}
	return nil
}
