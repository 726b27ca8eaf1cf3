package drand

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/cloudflare/circl/sign/bls"

	"github.com/rafflecast/rafflecast/services/draw"
)

// DevelopmentID is the id of development chains.
const DevelopmentID = "rafflecast-development"

// Development is a chain of rounds that one key signs, for development and tests: whoever
// has the key knows all rounds beforehand, so its owner can choose the winners. It is
// safe for concurrent use.
type Development struct {
	chain *draw.Chain
	key   *bls.PrivateKey[bls.KeyG2SigG1]
	now   func() time.Time
}

// NewDevelopment returns the development chain of a secret, which has at least 32 bytes.
// genesis and period are in whole seconds; now is the clock by which rounds come out.
// Equal arguments give equal chains.
func NewDevelopment(secret []byte, genesis time.Time, period time.Duration, now func() time.Time) (*Development, error) {
	key, err := bls.KeyGen[bls.KeyG2SigG1](secret, nil, nil)
	if err != nil {
		return nil, err
	}
	publicKey, err := key.PublicKey().MarshalBinary()
	if err != nil {
		return nil, err
	}
	seed := sha256.Sum256(publicKey)
	info, err := json.Marshal(draw.Chain{
		Scheme: draw.Scheme, Metadata: draw.Metadata{ID: DevelopmentID}, PublicKey: publicKey, GenesisSeed: seed[:],
		Period: int64(period / time.Second), GenesisTime: genesis.Unix(),
	})
	if err != nil {
		return nil, err
	}
	chain, err := draw.ParseChain(info)
	if err != nil {
		return nil, err
	}
	return &Development{chain, key, now}, nil
}

// Chain returns the chain's description.
func (d *Development) Chain() *draw.Chain { return d.chain }

// Signature returns the signature of a round, whether it is out or not.
func (d *Development) Signature(round uint64) []byte { return bls.Sign(d.key, draw.Message(round)) }

// Handler serves /{chain}/info and /{chain}/public/{round} as a relay does. A round
// that is not out yet is answered with 425, anything else with 404.
func (d *Development) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+d.chain.Hash+"/info", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.chain) })
	mux.HandleFunc("GET /"+d.chain.Hash+"/public/{round}", d.serveRound)
	return mux
}

func (d *Development) serveRound(w http.ResponseWriter, r *http.Request) {
	round, err := strconv.ParseUint(r.PathValue("round"), 10, 53)
	if err != nil || round < 1 {
		http.NotFound(w, r)
		return
	}
	// The first round that is out after now is the next one.
	if round >= d.chain.RoundAt(draw.TimeOf(d.now())+1) {
		http.Error(w, ErrNotOut.Error(), http.StatusTooEarly)
		return
	}
	signature := d.Signature(round)
	answer(w, Round{round, draw.Randomness(signature), signature})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that has left needs no answer
}
