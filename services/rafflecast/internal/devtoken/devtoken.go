// Package devtoken makes keys and tokens for development, so that anyone can try a
// system whose callers are authenticated. In production an identity provider does that.
package devtoken

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Config says which token to make.
type Config struct {
	Dir      string        `name:"keys" env:"TOKEN_KEYS" default:".data/keys" form:"a directory" help:"Directory of the private key (key.pem) and of the JWK set with the public one (jwks.json). They are made if they are missing."`
	Subject  string        `name:"subject" env:"TOKEN_SUBJECT" required:"" form:"a name; of a member, its member id" help:"Subject of the token."`
	Scope    string        `name:"scope" env:"TOKEN_SCOPE" default:"member" form:"scopes, separated by blanks" help:"What the token allows: member, backend or operator, unless the services name them otherwise."`
	Issuer   string        `name:"issuer" env:"TOKEN_ISSUER" default:"rafflecast-development" form:"a name" help:"Issuer of the token, which the services know by --auth-issuer."`
	Audience string        `name:"audience" env:"TOKEN_AUDIENCE" default:"rafflecast" form:"a name" help:"Audience of the token, which the services know by --auth-audience."`
	Lifetime time.Duration `name:"lifetime" env:"TOKEN_LIFETIME" default:"12h" min:"1s" max:"8760h" help:"How long the token is valid."`
}

// Files within Config.Dir.
const (
	keyFile  = "key.pem"
	jwksFile = "jwks.json"
)

// Run writes a token to out, and to log where the keys are if it has made them.
func Run(cfg Config, out, log io.Writer) error {
	key, err := readKey(cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = makeKey(cfg.Dir); err == nil {
			fmt.Fprintf(log, "made a key: start the services with --auth-jwks=%s --auth-issuer=%s\n", filepath.Join(cfg.Dir, jwksFile), cfg.Issuer)
		}
	}
	if err != nil {
		return fmt.Errorf("keys (--keys): %w", err)
	}
	token, err := sign(cfg, key, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, token)
	return err
}

// sign returns a token that is valid from now on.
func sign(cfg Config, key *ecdsa.PrivateKey, now time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": cfg.Issuer, "aud": cfg.Audience, "sub": cfg.Subject, "scope": cfg.Scope,
		"iat": now.Unix(), "exp": now.Add(cfg.Lifetime).Unix(),
	})
	id, err := keyID(key)
	if err != nil {
		return "", err
	}
	token.Header["kid"] = id
	return token.SignedString(key)
}

// keyID returns an id that another key has not.
func keyID(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:12]), nil
}

func readKey(dir string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(filepath.Join(dir, keyFile)) //nolint:gosec // G304: the user names this directory
	if err != nil {
		return nil, err
	}
	return jwt.ParseECPrivateKeyFromPEM(text)
}

// makeKey makes a key, and writes it and its JWK set.
func makeKey(dir string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	set, err := publicSet(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // services under other users read the public key
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, jwksFile), set, 0o644); err != nil { //nolint:gosec // it is public
		return nil, err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return key, os.WriteFile(filepath.Join(dir, keyFile), private, 0o600)
}

// publicSet returns the JWK set with the public key.
func publicSet(key *ecdsa.PrivateKey) ([]byte, error) {
	id, err := keyID(key)
	if err != nil {
		return nil, err
	}
	jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: id, ALG: jwkset.AlgES256, USE: jwkset.UseSig},
	})
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}}, "", "  ")
}
