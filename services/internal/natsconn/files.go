package natsconn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"
)

// CheckCA returns an error if the file cannot serve as Servers.CA. An empty path
// is valid.
func CheckCA(path string) error {
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path) //nolint:gosec // G304: the operator names this file
	if err != nil {
		return err // names the file
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", path)
	}
	return nil
}

// CheckCredentials returns an error if the file cannot serve as
// Servers.Credentials. An empty path is valid. The error quotes nothing of the
// file.
func CheckCredentials(path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // G304: the operator names this file
	if err != nil {
		return err
	}
	jwt, errJWT := nkeys.ParseDecoratedJWT(text)
	key, errKey := nkeys.ParseDecoratedUserNKey(text)
	if errJWT != nil || jwt == "" || errKey != nil {
		return errors.New(path + " does not hold a user's JWT and key")
	}
	key.Wipe()
	return nil
}
