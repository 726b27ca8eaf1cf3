package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
	"time"
)

func TestCertificates_GiveRolesByName(t *testing.T) {
	t.Parallel()
	certificates, err := ParseCertificates("operator=spiffe://example.org/ops, backend=shop.example.org,member=spiffe://example.org/ops")
	if err != nil {
		t.Fatal(err)
	}
	ops, err := url.Parse("spiffe://example.org/ops")
	if err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(time.Hour)
	for _, c := range []struct {
		certificate x509.Certificate
		subject     string
		roles       Role
	}{
		{x509.Certificate{URIs: []*url.URL{ops}}, "spiffe://example.org/ops", Operator | Member},
		{x509.Certificate{DNSNames: []string{"other", "shop.example.org"}}, "shop.example.org", Backend},
		{x509.Certificate{DNSNames: []string{"SHOP.example.org.evil"}}, "", 0},
		{x509.Certificate{URIs: []*url.URL{ops.JoinPath("other")}}, "", 0},
		// What a certificate says of its subject is no name of it.
		{x509.Certificate{Subject: pkix.Name{CommonName: "shop.example.org"}, EmailAddresses: []string{"shop.example.org"}}, "", 0},
	} {
		c.certificate.NotAfter = expires
		who := certificates.Identify(&c.certificate)
		if c.roles == 0 {
			if who != nil {
				t.Errorf("a stranger is %+v", who)
			}
			continue
		}
		if who == nil || who.Subject != c.subject || who.Roles != c.roles || !who.Expires.Equal(expires) {
			t.Errorf("%s: %+v", c.subject, who)
		}
	}
}

func TestParseCertificates_RefusesOtherText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"operator", "operator=", "=name", "admin=name", "operator=a,b"} {
		if _, err := ParseCertificates(text); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
