package access

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Settings say how callers are authenticated.
type Settings struct {
	JWKS       string        `name:"auth-jwks" env:"AUTH_JWKS" form:"a file, or a URL like https://login.example.org/keys" help:"JWK set with the public keys that tokens are signed with. A file is read again when it changes. Without it, no token is accepted."`
	Issuer     string        `name:"auth-issuer" env:"AUTH_ISSUER" form:"the exact text of the claim iss" help:"Issuer of the tokens. It is needed with --auth-jwks."`
	Audience   string        `name:"auth-audience" env:"AUTH_AUDIENCE" default:"rafflecast" form:"a text that the claim aud has" help:"Audience that a token must be for."`
	Algorithms string        `name:"auth-algorithms" env:"AUTH_ALGORITHMS" default:"ES256,RS256,EdDSA" form:"some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, separated by commas" help:"Signature algorithms that are accepted."`
	Leeway     time.Duration `name:"auth-leeway" env:"AUTH_LEEWAY" default:"30s" min:"0s" max:"10m" help:"How far the clock of the issuer may be off."`
	Refresh    time.Duration `name:"auth-refresh" env:"AUTH_REFRESH" default:"5m" min:"1s" max:"24h" help:"How often the keys are read from a URL. They are also read when a token names an unknown key, at most every 5 s."`

	MemberScope   string `name:"auth-member-scope" env:"AUTH_MEMBER_SCOPE" default:"member" form:"a scope, or *" help:"Scope of a member, who acts for itself only. * makes a member of every token that has no other role."`
	BackendScope  string `name:"auth-backend-scope" env:"AUTH_BACKEND_SCOPE" default:"backend" form:"a scope" help:"Scope of a backend, which enters, withdraws and lists for any member."`
	OperatorScope string `name:"auth-operator-scope" env:"AUTH_OPERATOR_SCOPE" default:"operator" form:"a scope" help:"Scope of an operator, who manages raffles."`

	AllowAnonymous bool `name:"allow-anonymous" env:"ALLOW_ANONYMOUS" help:"Listen beyond loopback although nobody is authenticated. Whoever reaches a port may then do everything that it serves."`
}

// Enabled reports whether tokens are accepted.
func (s *Settings) Enabled() bool { return s.JWKS != "" }

// Rules implements config.Rules.
func (s *Settings) Rules(check *config.Checks) {
	algorithms := config.List(s.Algorithms)
	check.That(len(algorithms) > 0 && !slices.ContainsFunc(algorithms, func(a string) bool { return !slices.Contains(known, a) }), &s.Algorithms)
	for _, scope := range []*string{&s.MemberScope, &s.BackendScope, &s.OperatorScope} {
		check.That(*scope != "" && !strings.ContainsAny(*scope, " \t"), scope)
	}
	check.That(s.BackendScope != s.MemberScope, &s.BackendScope, "another scope than --auth-member-scope")
	check.That(s.OperatorScope != s.MemberScope && s.OperatorScope != s.BackendScope, &s.OperatorScope,
		"another scope than --auth-member-scope and --auth-backend-scope")
	check.That(s.BackendScope != "*", &s.BackendScope)
	check.That(s.OperatorScope != "*", &s.OperatorScope)
	if !s.Enabled() {
		return
	}
	check.NoError(s.checkJWKS(), &s.JWKS)
	check.That(s.Issuer != "", &s.Issuer)
	check.That(s.Audience != "", &s.Audience)
}

// checkJWKS returns an error if the source of keys can't be right.
func (s *Settings) checkJWKS() error {
	if strings.Contains(s.JWKS, "://") {
		if u, err := url.Parse(s.JWKS); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fmt.Errorf("not an http:// or https:// URL")
		}
		return nil
	}
	data, err := os.ReadFile(s.JWKS)
	if err != nil {
		return err // names the file
	}
	_, err = parseKeys(data)
	return err
}

// known are the algorithms that a setting may name: all are asymmetric, so that a public
// key can't be used as a secret.
var known = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
