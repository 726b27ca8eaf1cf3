package access

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Certificates says which roles the names in client certificates have.
type Certificates map[string]Role

// ParseCertificates reads pairs of a role and a name, as in
// operator=spiffe://example.org/ops. A name may have several roles.
func ParseCertificates(text string) (Certificates, error) {
	names := Certificates{}
	for _, pair := range config.List(text) {
		roleName, name, _ := strings.Cut(pair, "=")
		role := roleNamed(roleName)
		if role == 0 || name == "" {
			return nil, fmt.Errorf("%.80q is not a role, =, and a name", pair)
		}
		names[name] |= role
	}
	return names, nil
}

func roleNamed(name string) Role {
	for _, known := range roleNames {
		if known.name == name {
			return known.role
		}
	}
	return 0
}

// Names returns the names in a certificate that may have roles: its URIs, such as SPIFFE
// ids, and its DNS names.
func Names(certificate *x509.Certificate) (names []string) {
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	return append(names, certificate.DNSNames...)
}

// Identify returns the identity of a certificate that was verified, or nil if none of
// its names has a role. The first name that has one counts.
func (c Certificates) Identify(certificate *x509.Certificate) *Identity {
	for _, name := range Names(certificate) {
		if roles := c[name]; roles != 0 {
			return &Identity{Subject: name, Roles: roles, Expires: certificate.NotAfter}
		}
	}
	return nil
}
