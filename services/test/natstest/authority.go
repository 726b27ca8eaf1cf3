package natstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates of servers on loopback.
type Authority struct {
	t           testing.TB
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

// NewAuthority returns an authority that nobody knows yet.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t}
	a.key = a.newKey()
	a.certificate = a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: t.Name()}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, nil, a.key)
	return a
}

// ServerTLS returns what a server on loopback shows to clients and to its peers.
func (a *Authority) ServerTLS() *tls.Config {
	a.t.Helper()
	key := a.newKey()
	certificate := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
	}, a.certificate, key)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}}
}

// File returns a PEM file with the authority's certificate.
func (a *Authority) File() string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "ca.crt")
	a.write(path, "CERTIFICATE", a.certificate.Raw)
	return path
}

// Dir returns a directory with ca.crt and, of a server, tls.crt and tls.key.
func (a *Authority) Dir() string {
	a.t.Helper()
	server := a.ServerTLS().Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := filepath.Dir(a.File())
	a.write(filepath.Join(dir, "tls.crt"), "CERTIFICATE", server.Certificate[0])
	a.write(filepath.Join(dir, "tls.key"), "PRIVATE KEY", key)
	return dir
}

func (a *Authority) write(path, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// sign returns a certificate of key, signed by the parent, or by itself.
func (a *Authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return certificate
}
