//go:build unix

package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// tokens are what the callers of the service that authenticates them have.
type tokens struct {
	jwks  string // a file
	token string
}

// tokenIssuer is the issuer of the token.
const tokenIssuer = "benchmark"

// makeTokens makes a key and a token in a directory.
func makeTokens(dir string) (*tokens, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: tokenIssuer, ALG: jwkset.AlgES256, USE: jwkset.UseSig},
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{public.Marshal()}})
	if err != nil {
		return nil, err
	}
	made := &tokens{jwks: filepath.Join(dir, "jwks.json")}
	if err := os.WriteFile(made.jwks, text, 0o600); err != nil {
		return nil, err
	}
	claims := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": tokenIssuer, "aud": "rafflecast", "sub": tokenIssuer, "scope": "backend operator",
		"exp": time.Now().Add(24 * time.Hour).Unix(),
	})
	claims.Header["kid"] = tokenIssuer
	made.token, err = claims.SignedString(key)
	return made, err
}
