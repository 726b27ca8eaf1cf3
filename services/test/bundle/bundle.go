// Package bundle makes one script of the page's modules and texts, with esbuild. It is
// committed, so that neither building nor running a gateway needs esbuild.
package bundle

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// Script returns the script of the page whose sources are in a directory.
func Script(dir string) ([]byte, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints:       []string{filepath.Join(dir, "assets/page.js")},
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

// Write writes the script beside its sources.
func Write(dir string) error {
	script, err := Script(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bundle/page.js"), script, 0o644) //nolint:gosec // it is a source
}
