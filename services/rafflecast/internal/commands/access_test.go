package commands

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// setupClosed returns the program beside a system that asks who calls, with TLS at
// participation, and the key of its tokens.
func setupClosed(t *testing.T) (*program, *tokentest.Key, string) {
	t.Helper()
	nats, key, certificates := natstest.Start(t).URL(), tokentest.NewKey(t, "k1"), testenv.NewAuthority(t).Dir()
	jwks := tokentest.File(t, key)
	service := servicetest.StartParticipation(t, nats, func(c *participation.Config) {
		c.Access.JWKS, c.Access.Issuer = jwks, tokentest.Issuer
		c.TLS.Certificate, c.TLS.Key = filepath.Join(certificates, "tls.crt"), filepath.Join(certificates, "tls.key")
	})
	web := servicetest.StartGateway(
		t,
		nats,
		func(c *gateway.Config) { c.Access.JWKS, c.Access.Issuer = jwks, tokentest.Issuer },
	)
	return &program{env: map[string]string{
		"RAFFLECAST_TARGET": service.GRPC, "RAFFLECAST_GATEWAY": "http://" + web.HTTP,
		"RAFFLECAST_CA": filepath.Join(certificates, "ca.crt"),
	}}, key, service.GRPC
}

func TestCommands_BringTheirToken(t *testing.T) {
	t.Parallel()
	p, key, target := setupClosed(t)
	operator, member := key.Token("ann", "operator"), key.Token("minji", "member")
	p.env["RAFFLECAST_TOKEN"] = operator
	id := p.create(t, "A", "--members-only")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(member+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantLines(t, p.must(t, "audit"), "CreateRaffle", "ann")

	p.env["RAFFLECAST_TOKEN"] = ""
	wantLines(t, p.must(t, "enter", id, "--token-file="+file), "minji is in raffle "+id)
	for _, c := range []struct {
		args []string
		code int
		err  string
	}{
		{[]string{"show", id}, 3, "the service asks who calls: give --token or --token-file (TOKEN_MISSING)"},
		{[]string{"close", id, "--token=" + member}, 3, "the token does not allow this: it takes the role operator (ROLE_MISSING)"},
		{[]string{"watch", id}, 3, " (TOKEN_MISSING)"},
		{[]string{"show", id, "--token=" + member, "--ca=", "--tls"}, 1, "no trusted connection to " + target},
	} {
		if r := p.run(c.args...); r.code != c.code {
			t.Errorf("%v: exit code %d\n%s", c.args, r.code, r.err)
		} else {
			wantLines(t, r.err, c.err)
		}
	}
	p.env["RAFFLECAST_CA"] = ""
	r := p.run("show", id, "--token="+member)
	if r.code != 1 {
		t.Errorf("without TLS: exit code %d", r.code)
	}
	wantLines(t, r.err, "it may need --tls or --ca")
}

func TestWatch_BringsItsToken(t *testing.T) {
	t.Parallel()
	p, key, _ := setupClosed(t)
	p.env["RAFFLECAST_TOKEN"] = key.Token("ann", "operator backend")
	id := p.create(t, "A", "--members-only")
	p.must(t, "close", id)
	wantLines(t, p.must(t, "watch", id, "--ca="), "CLOSED     0 entries of 0 members, 1 wins")
}

func TestConnect_GivesUpAfterThreeSeconds(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for _, args := range [][]string{{"show", "1"}, {"load", "--count=1"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			p := &program{}
			start := time.Now()
			r := p.run(append(args, "--target="+silent.Addr().String())...)
			if took := time.Since(start); r.code != 1 || took < 2*time.Second || took > time.Minute {
				t.Errorf("exit code %d after %v", r.code, took)
			}
			wantLines(t, r.err, "nobody answers at "+silent.Addr().String())
		})
	}
}
