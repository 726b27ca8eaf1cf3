package access

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// maxToken bounds a token in bytes.
const maxToken = 8 << 10

// Tokens verifies bearer tokens.
type Tokens struct {
	keys       *keys
	parser     *jwt.Parser
	leeway     time.Duration
	scopes     map[string]Role
	remembered *memory
}

// NewTokens returns what verifies tokens as the settings say. It fails if a file of keys
// can't be read. Keys are read from a URL once Run is called; until then, and until the
// first success, Verify fails with ErrKeysUnavailable.
func NewTokens(s *Settings, log *slog.Logger) (*Tokens, error) {
	k, err := newKeys(s.JWKS, s.Refresh, log)
	if err != nil {
		return nil, err
	}
	return &Tokens{
		keys: k,
		parser: jwt.NewParser(jwt.WithValidMethods(config.List(s.Algorithms)), jwt.WithIssuer(s.Issuer), jwt.WithAudience(s.Audience),
			jwt.WithLeeway(s.Leeway), jwt.WithExpirationRequired(), jwt.WithStrictDecoding()),
		leeway:     s.Leeway,
		scopes:     map[string]Role{s.MemberScope: Member, s.BackendScope: Backend, s.OperatorScope: Operator},
		remembered: newMemory(maxRemembered),
	}, nil
}

// Run keeps the keys up to date until ctx ends.
func (t *Tokens) Run(ctx context.Context) { t.keys.run(ctx) }

// claims are what is read of a token.
type claims struct {
	jwt.RegisteredClaims

	Scope scopes `json:"scope"` // https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3
	SCP   scopes `json:"scp"`   // the same, of other issuers
}

// scopes are separated by blanks, or a list.
type scopes []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scopes) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*s = strings.Fields(text)
		return nil
	}
	return json.Unmarshal(data, (*[]string)(s))
}

// Verify returns the identity that a token gives. It fails with ErrExpired,
// ErrKeysUnavailable, *InvalidError or the context's error. If t is nil, no token is
// accepted.
func (t *Tokens) Verify(ctx context.Context, token string) (*Identity, error) {
	if t == nil {
		return nil, invalid("tokens are not accepted here")
	}
	if len(token) > maxToken {
		return nil, invalid("the token is too long")
	}
	hash := sha256.Sum256([]byte(token))
	if who, ok := t.remembered.get(hash, t.keys.set.Load()); ok {
		if time.Now().After(who.Expires) {
			return nil, ErrExpired
		}
		return who, nil
	}
	var c claims
	var with *keySet
	var keyErr error
	_, err := t.parser.ParseWithClaims(token, &c, func(parsed *jwt.Token) (any, error) {
		if _, ok := parsed.Header["crit"]; ok {
			keyErr = invalid("the token asks for an extension that is not known here")
			return nil, keyErr
		}
		id, _ := parsed.Header["kid"].(string)
		set, found, err := t.keys.find(ctx, id, parsed.Method.Alg())
		if err != nil {
			keyErr = err
			return nil, err
		}
		with = set
		candidates := jwt.VerificationKeySet{}
		for _, public := range found {
			candidates.Keys = append(candidates.Keys, public)
		}
		return candidates, nil
	})
	switch {
	case keyErr != nil:
		return nil, keyErr
	case err != nil:
		return nil, reasonOf(err)
	case !isName(c.Subject):
		return nil, invalid("the token's subject must have 1 to 255 bytes, all of them visible characters and blanks")
	}
	who := &Identity{Subject: c.Subject, Roles: t.roles(&c), Expires: c.ExpiresAt.Add(t.leeway)}
	t.remembered.put(hash, with, who)
	return who, nil
}

// maxSubject bounds a subject in bytes, as
// https://openid.net/specs/openid-connect-core-1_0.html#IDToken does.
const maxSubject = 255

// isName reports whether a subject can be shown to operators as who has done something:
// it is not empty, not long, and has no character that shows nothing or changes how the
// text around it is shown.
func isName(subject string) bool {
	return subject != "" && len(subject) <= maxSubject && !strings.ContainsFunc(subject, func(r rune) bool { return !unicode.IsPrint(r) })
}

// roles returns the roles that the scopes of a token give.
func (t *Tokens) roles(c *claims) (roles Role) {
	for _, scope := range slices.Concat(c.Scope, c.SCP) {
		if scope != "*" {
			roles |= t.scopes[scope]
		}
	}
	if roles == 0 {
		roles = t.scopes["*"]
	}
	return roles
}

// reasonOf returns the error for a token that the parser has refused, in our words.
func reasonOf(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return invalid("the token is not valid yet")
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return invalid("the token has another issuer")
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return invalid("the token is for another audience")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return invalid("the token lacks a claim: it needs sub, iss, aud and exp")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return invalid("the token's signature or its algorithm is not accepted")
	}
	return invalid("the token is not a JWT")
}

// Bearer returns the token in the Authorization headers of a call, of which there must be
// one.
func Bearer(headers []string) (token string, err error) {
	if len(headers) != 1 {
		return "", invalid("the call must have one Authorization header")
	}
	scheme, token, found := strings.Cut(headers[0], " ")
	if token = strings.TrimSpace(token); !found || !strings.EqualFold(scheme, "bearer") || token == "" {
		return "", invalid("the Authorization header must be Bearer, a blank, and a token")
	}
	return token, nil
}
