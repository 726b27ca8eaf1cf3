// Package signingkey makes the keys that sign the logs of raffles.
package signingkey

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/note"
)

// Config says which key to make.
type Config struct {
	Name string `arg:"" form:"a host name, as raffles.example.com" help:"Name of the signer, with which the names of all logs begin."`
	File string `arg:"" form:"a file that does not exist" help:"File for the key, which participation reads by --draw-key."`
}

// Run writes a key into the file, and to out the key that verifies what it signs.
func Run(cfg Config, out io.Writer) error {
	signing, verifier, err := note.GenerateKey(rand.Reader, cfg.Name)
	if err != nil {
		return fmt.Errorf("make a key for %q: %w", cfg.Name, err)
	}
	file, err := os.OpenFile(cfg.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, signing)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, verifier)
	return err
}
