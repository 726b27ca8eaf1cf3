package connect

import (
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// A key without its certificate would be a call by nobody.
func TestCredentials_NeedBothACertificateAndItsKey(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Credentials{
		"--key (RAFFLECAST_KEY) has no value": {Certificate: "/absent/tls.crt"},
		"--key=/absent/tls.key":               {Key: "/absent/tls.key"},
		"--ca=/absent/ca.crt":                 {CA: "/absent/ca.crt"},
		"--token-file=/absent/token":          {Token: "t", TokenFile: "/absent/token"},
	} {
		if err := config.Validate(&c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %s: %v", want, err)
		}
	}
}
