// Package drawtest gives tests what a service draws with: a key that signs logs, and a
// development chain of drand behind a relay whose answers a test can change.
package drawtest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	bls12381 "github.com/cloudflare/circl/ecc/bls12381"
	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw/drand"
)

// LogName is the first part of the origins of all logs.
const LogName = "raffles.test"

// Draws are the files and URLs that a service needs for its draws.
type Draws struct {
	KeyFile   string // with the key that signs
	Key       string // verifies what it signs
	ChainFile string
	Relay     string // URL
	Chain     *drand.Development

	answers atomic.Pointer[http.Handler] // of the relay, in place of the chain's
}

// Start returns a new key and a chain with a round each second, whose relay runs until
// the test ends.
func Start(t testing.TB) *Draws {
	t.Helper()
	signing, key, err := note.GenerateKey(rand.Reader, LogName)
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	chain, err := drand.NewDevelopment(secret, time.Now().Add(-time.Hour).Truncate(time.Second), time.Second, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(chain.Chain())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &Draws{Key: key, Chain: chain, KeyFile: filepath.Join(dir, "signing.key"), ChainFile: filepath.Join(dir, "chain.json")}
	for file, text := range map[string][]byte{d.KeyFile: []byte(signing), d.ChainFile: info} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	honest := chain.Handler()
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if other := d.answers.Load(); other != nil {
			(*other).ServeHTTP(w, r)
			return
		}
		honest.ServeHTTP(w, r)
	}))
	t.Cleanup(relay.Close)
	d.Relay = relay.URL
	return d
}

// Answer lets the relay answer as h does, or as the chain's if h is nil.
func (d *Draws) Answer(h http.Handler) {
	if h == nil {
		d.answers.Store(nil)
		return
	}
	d.answers.Store(&h)
}

// Uncompressed returns the other form of a signature, in 96 bytes, which the library of
// the signatures takes as well, and whose hash is another.
func Uncompressed(t testing.TB, signature []byte) []byte {
	t.Helper()
	var point bls12381.G1
	if err := point.SetBytes(signature); err != nil {
		t.Fatal(err)
	}
	return point.Bytes()
}
