package httpapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// A page token is one encrypted block: the id of the last raffle of a page, and a
// check that binds the token to the list's state. Encryption makes it opaque, so
// that no client comes to read or make tokens (https://google.aip.dev/158). The key
// is no secret, and the same in every instance: a made-up token would reveal nothing.

// pageTokens encrypts and decrypts the block of a page token.
var pageTokens = func() cipher.Block {
	key := sha256.Sum256([]byte("rafflecast: page tokens of the list of raffles, 1"))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	return block
}()

var tokenEncoding = base64.RawURLEncoding.Strict()

// pageToken returns the token of the page after the raffle with the id last, in a
// list of the raffles in state.
func pageToken(state string, last int64) string {
	block := binary.BigEndian.AppendUint64(make([]byte, 0, aes.BlockSize), uint64(last))
	block = append(block, tokenCheck(state)...)
	pageTokens.Encrypt(block, block)
	return tokenEncoding.EncodeToString(block)
}

// parsePageToken returns the id in a token. It reports false if the token is none,
// or is of a list with another state.
func parsePageToken(state, token string) (last int64, ok bool) {
	block, err := tokenEncoding.DecodeString(token)
	if err != nil || len(block) != aes.BlockSize {
		return 0, false
	}
	pageTokens.Decrypt(block, block)
	last = int64(binary.BigEndian.Uint64(block))
	return last, last > 0 && string(block[8:]) == string(tokenCheck(state))
}

// tokenCheck returns the eight bytes that bind a token to a state.
func tokenCheck(state string) []byte {
	sum := sha256.Sum256([]byte("state=" + state))
	return sum[:8]
}
