// Package tokentest makes keys and tokens for tests.
package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// The issuer and audience of the tokens.
const (
	Issuer   = "https://issuer.test"
	Audience = "rafflecast"
)

// Key signs tokens.
type Key struct {
	t       testing.TB
	id      string
	private *ecdsa.PrivateKey
}

// NewKey returns a new key with an id.
func NewKey(t testing.TB, id string) *Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Key{t, id, private}
}

// Public returns the public key.
func (k *Key) Public() crypto.PublicKey { return k.private.Public() }

// Token returns a token of a subject that is valid for an hour. scope holds its scopes,
// separated by blanks. change may change or remove claims; nil ones are left out.
func (k *Key) Token(subject, scope string, change ...map[string]any) string {
	k.t.Helper()
	claims := jwt.MapClaims{
		"iss": Issuer, "aud": Audience, "sub": subject, "scope": scope, "exp": time.Now().Add(time.Hour).Unix(),
	}
	for _, c := range change {
		for name, value := range c {
			claims[name] = value
			if value == nil {
				delete(claims, name)
			}
		}
	}
	return k.Sign(claims, nil)
}

// Sign returns a token with these claims, and with these fields in its header beside
// those that every token has.
func (k *Key) Sign(claims jwt.MapClaims, header map[string]any) string {
	k.t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	if k.id != "" {
		token.Header["kid"] = k.id
	}
	maps.Copy(token.Header, header)
	text, err := token.SignedString(k.private)
	if err != nil {
		k.t.Fatal(err)
	}
	return text
}

// JWKS returns the JWK set of the public keys.
func JWKS(t testing.TB, keys ...*Key) []byte {
	t.Helper()
	var set jwkset.JWKSMarshal
	for _, k := range keys {
		jwk, err := jwkset.NewJWKFromKey(k.Public(), jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: k.id, ALG: jwkset.AlgES256, USE: jwkset.UseSig},
		})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// File returns the path of a file with the JWK set of the public keys.
func File(t testing.TB, keys ...*Key) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, JWKS(t, keys...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
