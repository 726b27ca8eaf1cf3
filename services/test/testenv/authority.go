package testenv

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
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Authority is a certificate authority that signs certificates for servers on
// loopback. It fails its test if anything goes wrong.
type Authority struct {
	t           testing.TB
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

// NewAuthority returns an authority with a new key and certificate, valid for an
// hour. Nobody trusts it until they are given its certificate.
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

// ServerTLS returns a TLS configuration with a new certificate for 127.0.0.1 and Host,
// which is valid as a server's and, for servers that connect to each other, as a
// client's.
func (a *Authority) ServerTLS() *tls.Config {
	a.t.Helper()
	key := a.newKey()
	certificate := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(Host())},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
	}, a.certificate, key)
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}},
	}
}

// File returns the path of a PEM file with the authority's certificate.
func (a *Authority) File() string {
	a.t.Helper()
	return a.write(filepath.Join(a.t.TempDir(), "ca.crt"), a.certificatePEM())
}

// Client returns a certificate for clients, with DNS names and URIs such as
// spiffe://example.org/a.
func (a *Authority) Client(names ...string) tls.Certificate {
	a.t.Helper()
	key := a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
	}
	for _, name := range names {
		if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	certificate := a.sign(template, a.certificate, key)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

// Pool returns a pool that holds the authority's certificate.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Dir returns a directory with PEM files: ca.crt holds the authority's
// certificate, tls.crt and tls.key a new server's certificate and key, and tls.pem
// both of these, as HAProxy wants them.
func (a *Authority) Dir() string {
	a.t.Helper()
	dir := a.t.TempDir()
	a.WriteDir(dir)
	return dir
}

// WriteDir writes the files of Dir into a directory, and replaces those that are there.
func (a *Authority) WriteDir(dir string) {
	a.t.Helper()
	server := a.ServerTLS().Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate[0]})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	a.write(filepath.Join(dir, "ca.crt"), a.certificatePEM())
	a.write(filepath.Join(dir, "tls.crt"), certificate)
	a.write(filepath.Join(dir, "tls.key"), key)
	a.write(filepath.Join(dir, "tls.pem"), slices.Concat(certificate, key))
}

func (a *Authority) certificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func (a *Authority) write(path string, data []byte) string {
	a.t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// sign returns a certificate for key, signed by the authority. parent is nil for
// the authority's own.
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
