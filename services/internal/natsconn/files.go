package natsconn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"
)

// CheckCA tells why a file can't be Servers.CA; without a path all is well.
func CheckCA(path string) error {
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path) //nolint:gosec // G304: the operator's own file
	if err != nil {
		return err // names the file
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", path)
	}
	return nil
}

// CheckCredentials tells why a file can't be Servers.Credentials; without a path
// all is well. Errors quote nothing of the file.
func CheckCredentials(path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // G304: the operator's own file
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
