package access_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// rsaFile returns the path of a JWK set with the public key, whose id is 1.
func rsaFile(t *testing.T, key *rsa.PrivateKey, about jwkset.JWKMetadataOptions) string {
	t.Helper()
	about.KID = "1"
	public, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: about})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{public.Marshal()}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantAlgorithms checks which signatures of a key are accepted.
func wantAlgorithms(t *testing.T, tokens *access.Tokens, key *rsa.PrivateKey, want map[jwt.SigningMethod]bool) {
	t.Helper()
	for method, isAccepted := range want {
		token := jwt.NewWithClaims(method, jwt.MapClaims{
			"iss": tokentest.Issuer, "aud": tokentest.Audience, "sub": "7", "scope": "member", "exp": time.Now().Add(time.Hour).Unix(),
		})
		token.Header["kid"] = "1"
		signed, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.Verify(t.Context(), signed); (err == nil) != isAccepted {
			t.Errorf("%s: %v", method.Alg(), err)
		}
	}
}

func newRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A key may sign by several algorithms: those that the settings do not name are refused.
func TestTokens_AcceptNamedAlgorithmsOnly(t *testing.T) {
	t.Parallel()
	key := newRSA(t)
	tokens := start(t, settings(rsaFile(t, key, jwkset.JWKMetadataOptions{})))
	wantAlgorithms(t, tokens, key, map[jwt.SigningMethod]bool{
		jwt.SigningMethodRS256: true, jwt.SigningMethodRS384: false, jwt.SigningMethodRS512: false, jwt.SigningMethodPS256: false,
	})
}

// A set may say what a key is for: anything else is refused, although the settings allow it.
func TestTokens_KeysAreForWhatTheSetSays(t *testing.T) {
	t.Parallel()
	key := newRSA(t)
	s := settings(rsaFile(t, key, jwkset.JWKMetadataOptions{ALG: jwkset.AlgRS256}))
	s.Algorithms = "RS256,PS256"
	wantAlgorithms(t, start(t, s), key, map[jwt.SigningMethod]bool{jwt.SigningMethodRS256: true, jwt.SigningMethodPS256: false})
	forSecrets := settings(rsaFile(t, key, jwkset.JWKMetadataOptions{USE: jwkset.UseEnc}))
	if _, err := access.NewTokens(forSecrets, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a set with a key for encryption only is accepted")
	}
}
