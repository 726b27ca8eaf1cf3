package grpcapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"sync"
)

// pageTokens writes and reads page tokens: where a page ended, encrypted and
// authenticated together with the query that the page answered. A token tells its
// holder nothing, and is refused by any other query.
//
// Safe for concurrent use.
type pageTokens struct{ aead func() cipher.AEAD }

// newPageTokens returns page tokens under a secret, which is asked for with the first
// token.
func newPageTokens(secret func() []byte) *pageTokens {
	return &pageTokens{aead: sync.OnceValue(func() cipher.AEAD {
		key := sha256.Sum256(append([]byte("page tokens: "), secret()...))
		block, err := aes.NewCipher(key[:])
		if err != nil {
			panic(err) // it takes any key of 32 bytes
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			panic(err) // it takes any cipher with blocks of 16 bytes
		}
		return aead
	})}
}

// seal returns the token for a position within the answer to a query.
func (p *pageTokens) seal(query string, position []byte) string {
	sealed := p.aead().Seal(nil, nil, position, []byte(query)) //nolint:gosec // the AEAD draws each nonce by itself
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// open returns the position in a token that seal returned for the same query, and
// an *invalidError for any other token.
func (p *pageTokens) open(query, token string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil {
		var position []byte
		if position, err = p.aead().Open(nil, nil, sealed, []byte(query)); err == nil {
			return position, nil
		}
	}
	e := invalid("page_token", "must be a next_page_token of the same query (got "+text(token)+")")
	e.value = text(token)
	return nil, e
}
