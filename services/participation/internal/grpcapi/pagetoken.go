package grpcapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// pageTokens writes and reads page tokens: where a page ended, encrypted and
// authenticated together with the query that the page answered. A token tells its
// holder nothing, and is refused by any other query.
//
// Safe for concurrent use.
type pageTokens struct{ aead cipher.AEAD }

// newPageTokens returns page tokens under a secret.
func newPageTokens(secret []byte) (*pageTokens, error) {
	if len(secret) == 0 {
		return nil, errors.New("page tokens need a key")
	}
	key := sha256.Sum256(append([]byte("page tokens: "), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("make the cipher of page tokens: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of page tokens: %w", err)
	}
	return &pageTokens{aead: aead}, nil
}

// seal returns the token for a position within the answer to a query.
func (p *pageTokens) seal(query string, position []byte) string {
	sealed := p.aead.Seal(nil, nil, position, []byte(query)) //nolint:gosec // the AEAD draws each nonce by itself
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// open returns the position in a token that seal returned for the same query, and
// an *invalidError for any other token.
func (p *pageTokens) open(query, token string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil {
		var position []byte
		if position, err = p.aead.Open(nil, nil, sealed, []byte(query)); err == nil {
			return position, nil
		}
	}
	e := invalid("page_token", "must be a next_page_token of the same query (got "+text(token)+")")
	e.value = text(token)
	return nil, e
}
