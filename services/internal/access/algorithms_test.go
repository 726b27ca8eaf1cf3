package access_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// A key may sign by several algorithms: those that the settings do not name are refused.
func TestTokens_AcceptNamedAlgorithmsOnly(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "1"}})
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
	tokens := start(t, settings(path))
	for method, want := range map[jwt.SigningMethod]bool{
		jwt.SigningMethodRS256: true, jwt.SigningMethodRS384: false, jwt.SigningMethodRS512: false, jwt.SigningMethodPS256: false,
	} {
		token := jwt.NewWithClaims(method, jwt.MapClaims{
			"iss": tokentest.Issuer, "aud": tokentest.Audience, "sub": "7", "scope": "member", "exp": time.Now().Add(time.Hour).Unix(),
		})
		token.Header["kid"] = "1"
		signed, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.Verify(t.Context(), signed); (err == nil) != want {
			t.Errorf("%s: %v", method.Alg(), err)
		}
	}
}
