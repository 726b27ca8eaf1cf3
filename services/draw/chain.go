package draw

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/cloudflare/circl/sign/bls"
)

// Scheme is the only scheme of drand that draws: the signature of a round is a point of
// G1, 48 bytes, and depends on nothing but the round's number.
const Scheme = "bls-unchained-g1-rfc9380"

const signatureSize, publicKeySize = 48, 96

// Chain is a chain of drand: every period it makes a round, whose signature nobody knows
// before and everybody can verify afterwards. In JSON it has the form of drand's /info.
// It is safe for concurrent use, and must not be changed.
type Chain struct {
	PublicKey   HexBytes `json:"public_key"`
	Period      int64    `json:"period"`       // seconds
	GenesisTime int64    `json:"genesis_time"` // of round 1, in seconds since 1970
	GenesisSeed HexBytes `json:"groupHash"`
	Hash        string   `json:"hash"` // pins all of the chain
	Scheme      string   `json:"schemeID"`
	Metadata    Metadata `json:"metadata"`

	key bls.PublicKey[bls.KeyG2SigG1]
}

// Metadata is a part of a chain's description.
type Metadata struct {
	ID string `json:"beaconID"`
}

// ParseChain parses a chain's description, as drand serves it at /info. The hash in it
// must be that of what it describes; it may be missing.
func ParseChain(info []byte) (*Chain, error) {
	var c Chain
	if err := json.Unmarshal(info, &c); err != nil {
		return nil, fmt.Errorf("chain info: %w", err)
	}
	if c.Scheme != Scheme || c.Period < 1 || c.Period > 1<<20 || c.GenesisTime < 0 || c.GenesisTime > 1<<33 {
		return nil, fmt.Errorf("chain info: the scheme is not %s, or a time is out of bounds", Scheme)
	}
	// The length comes first: the library takes an uncompressed key as well.
	if len(c.PublicKey) != publicKeySize || c.key.UnmarshalBinary(c.PublicKey) != nil || !c.key.Validate() {
		return nil, fmt.Errorf("chain info: the public key is no point of G2 in %d bytes", publicKeySize)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(c.Period))
	b = binary.BigEndian.AppendUint64(b, uint64(c.GenesisTime))
	b = append(append(append(b, c.PublicKey...), c.GenesisSeed...), c.Metadata.ID...)
	hash := fmt.Sprintf("%x", sha256.Sum256(b))
	if c.Hash != "" && c.Hash != hash {
		return nil, fmt.Errorf("chain info: the hash is %s, not %q", hash, c.Hash)
	}
	c.Hash = hash
	return &c, nil
}

// RoundAt returns the first round that is out at t or later.
func (c *Chain) RoundAt(t Time) uint64 {
	since, period := int64(t)-c.GenesisTime*1e6, c.Period*1e6
	if since <= 0 {
		return 1
	}
	return uint64((since+period-1)/period + 1)
}

// TimeOf returns when a round is out.
func (c *Chain) TimeOf(round uint64) Time {
	return Time((c.GenesisTime + int64(round-1)*c.Period) * 1e6)
}

// Message returns what the chain signs for a round.
func Message(round uint64) []byte {
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, round))
	return hash[:]
}

// Verify returns an error unless signature is the chain's for the round. Its length comes
// first: the library also takes the uncompressed form of the same signature, whose hash
// is another, so that whoever fetches it could choose between two results.
func (c *Chain) Verify(round uint64, signature []byte) error {
	if len(signature) != signatureSize || !bls.Verify(&c.key, Message(round), signature) {
		return fmt.Errorf("the signature is not that of round %d of chain %s, in %d bytes", round, c.Hash, signatureSize)
	}
	return nil
}

// Randomness returns the randomness of a round, SHA-256 of its signature, in hexadecimal.
func Randomness(signature []byte) string { return fmt.Sprintf("%x", sha256.Sum256(signature)) }

// Quicknet returns drand's public chain quicknet, of the League of Entropy.
func Quicknet() *Chain {
	c, err := ParseChain([]byte(quicknet))
	if err != nil {
		panic(err) // a defect of the constant, which every test shows
	}
	return c
}

const quicknet = `{"public_key":"83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3a` +
	`c6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",` +
	`"period":3,"genesis_time":1692803367,"groupHash":"f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",` +
	`"hash":"52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",` +
	`"schemeID":"bls-unchained-g1-rfc9380","metadata":{"beaconID":"quicknet"}}`
