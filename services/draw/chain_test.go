package draw

import (
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/circl/ecc/bls12381"
	"github.com/cloudflare/circl/sign/bls"
)

// The library takes both forms of a signature, and their hashes differ: whoever fetches a
// round could choose between two results.
func TestChain_RefusesTheUncompressedSignature(t *testing.T) {
	t.Parallel()
	var b beacon
	readJSON(t, "beacon.json", &b)
	chain, round := Quicknet(), b.Rounds[0]
	var point bls12381.G1
	if err := point.SetBytes(round.Signature); err != nil {
		t.Fatal(err)
	}
	long := point.Bytes()
	if len(long) != 96 || !bls.Verify(&chain.key, Message(round.Round), long) {
		t.Fatalf("%d bytes: the library does not take the uncompressed form, so this test shows nothing", len(long))
	}
	if err := chain.Verify(round.Round, long); err == nil {
		t.Error("the uncompressed signature is taken")
	}
	record, err := Encode(Draw{1, round.Round, long})
	if err == nil {
		t.Errorf("it can be written into a record: %s", record)
	}
}

func TestChain_RefusesTheUncompressedKey(t *testing.T) {
	t.Parallel()
	var point bls12381.G2
	if err := point.SetBytes(Quicknet().PublicKey); err != nil {
		t.Fatal(err)
	}
	info := Quicknet()
	info.PublicKey, info.Hash = point.Bytes(), ""
	if _, err := ParseChain(marshal(info)); err == nil {
		t.Error("the uncompressed key is taken")
	}
}

func TestParseChain_RefusesOtherDescriptions(t *testing.T) {
	t.Parallel()
	for old, changed := range map[string]string{
		`"period":3`:             `"period":4`,
		`"genesis_time":1692`:    `"genesis_time":1693`,
		`"groupHash":"f4`:        `"groupHash":"f5`,
		`"hash":"52`:             `"hash":"53`,
		`"beaconID":"quicknet"`:  `"beaconID":"quicknot"`,
		`bls-unchained-g1-rfc`:   `bls-unchained-on-g1-rfc`,
		`"public_key":"83cf`:     `"public_key":"a3cf`,
		`"public_key":"83cf0f28`: `"public_key":"c00000`,
		`{`:                      `[`,
	} {
		text := strings.Replace(quicknet, old, changed, 1)
		if text == quicknet {
			t.Fatalf("%s does not occur", old)
		}
		if _, err := ParseChain([]byte(text)); err == nil {
			t.Errorf("%s in place of %s is taken", changed, old)
		}
	}
	for _, bounds := range []string{`"period":0`, `"period":-3`, `"period":4294967299`} {
		text := strings.Replace(strings.Replace(quicknet, `"period":3`, bounds, 1), Quicknet().Hash, "", 1)
		if _, err := ParseChain([]byte(text)); err == nil {
			t.Errorf("%s is taken", bounds)
		}
	}
}

func TestChain_ParsesWhatItWrites(t *testing.T) {
	t.Parallel()
	chain, err := ParseChain(marshal(Quicknet()))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "chain", string(marshal(chain)), quicknet)
}

// The identity verifies everything; the zero key must never be taken.
func TestParseChain_RefusesTheIdentity(t *testing.T) {
	t.Parallel()
	info := Quicknet()
	info.PublicKey, info.Hash = append([]byte{0xc0}, make([]byte, publicKeySize-1)...), ""
	if _, err := ParseChain(marshal(info)); err == nil {
		t.Error("the identity is taken for a key")
	}
	identity := append([]byte{0xc0}, make([]byte, signatureSize-1)...)
	if err := Quicknet().Verify(1, identity); err == nil {
		t.Error("the identity is taken for a signature")
	}
}

func TestChain_RoundAtIsTheFirstOut(t *testing.T) {
	t.Parallel()
	chain := Quicknet()
	genesis := Time(chain.GenesisTime * 1e6)
	for t0, round := range map[Time]uint64{
		genesis - 1e12: 1, genesis - 1: 1, genesis: 1, genesis + 1: 2, genesis + 2_999_999: 2,
		genesis + 3_000_000: 2, genesis + 3_000_001: 3, genesis + 2_997_000_000: 1000,
	} {
		want(t, t0.String(), chain.RoundAt(t0), round)
		if out := chain.TimeOf(round); out < t0 || round > 1 && chain.TimeOf(round-1) >= t0 {
			t.Errorf("round %d is out at %v, not first at %v", round, out, t0)
		}
	}
}

func TestSource_TakesUniformNumbers(t *testing.T) {
	t.Parallel()
	for bits := range 7 {
		size := uint64(1) << bits
		for n := uint64(1); n <= size; n++ {
			counts := make([]int, n)
			for x := range size {
				s := source{word: func(uint64) uint64 { return x }, max: size - 1}
				if number, ok := s.number(0, n); ok {
					counts[number]++
				}
			}
			if slices.Min(counts) != slices.Max(counts) || counts[0] != int(size/n) {
				t.Errorf("words of %d bits give 0 to %d in %v ways", bits, n-1, counts)
			}
		}
	}
}

func TestSource_RejectsOnlyTheSurplusOf64Bits(t *testing.T) {
	t.Parallel()
	for _, n := range []uint64{1, 2, 3, 5, 7, 10, 1 << 20, 1<<20 + 1, 1 << 30, 1<<63 + 1} {
		surplus := new(big.Int).Mod(new(big.Int).Lsh(big.NewInt(1), 64), new(big.Int).SetUint64(n)).Uint64()
		first := -surplus // the first word that is rejected; 0 if none is
		for _, c := range []struct {
			word uint64
			ok   bool
		}{{first - 1, true}, {first, surplus == 0}, {1<<64 - 1, surplus == 0}, {0, true}} {
			s := source{word: func(uint64) uint64 { return c.word }, max: 1<<64 - 1}
			if _, ok := s.number(0, n); ok != c.ok {
				t.Errorf("n=%d: word %d taken: %v, want %v", n, c.word, ok, c.ok)
			}
		}
	}
}
