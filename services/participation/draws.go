package participation

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/drand"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// DrawSettings are the settings of draws.
type DrawSettings struct {
	DrawKey    string `name:"draw-key" env:"PARTICIPATION_DRAW_KEY" form:"a file that rafflecast signing-key has written" help:"File with the key that signs the logs of raffles; all instances have the same. Verifier keys of earlier keys may follow in further lines. Without it, draws are off: raffles that ask for one are refused."`
	DrawChains string `name:"draw-chains" env:"PARTICIPATION_DRAW_CHAINS" form:"files, separated by commas" help:"Files that describe chains of drand, as a relay's /info does, beside quicknet. The first is the chain of raffles that name none."`
	DrawRelays string `name:"draw-relays" env:"PARTICIPATION_DRAW_RELAYS" default:"https://api.drand.sh,https://api2.drand.sh,https://api3.drand.sh,https://drand.cloudflare.com" form:"http or https URLs, separated by commas" help:"Relays of drand, in the order in which they are asked for a draw's round."`
}

// Rules implements config.Rules.
func (s *DrawSettings) Rules(check *config.Checks) {
	_, _, err := s.keys()
	check.NoError(err, &s.DrawKey)
	_, err = s.chains()
	check.NoError(err, &s.DrawChains)
	_, err = s.relays()
	check.NoError(err, &s.DrawRelays)
}

// keys reads the signer, and the keys that verify what it and earlier ones have signed.
// They are nil if draws are off.
func (s *DrawSettings) keys() (note.Signer, []string, error) {
	if s.DrawKey == "" {
		return nil, nil, nil
	}
	text, err := os.ReadFile(s.DrawKey)
	if err != nil {
		return nil, nil, errors.Unwrap(err) // without the path, which may be a secret's
	}
	lines := strings.Fields(string(text))
	if len(lines) == 0 {
		return nil, nil, errors.New("the file is empty")
	}
	signer, err := note.NewSigner(lines[0])
	if err != nil {
		return nil, nil, errors.New("its first line is no signing key")
	}
	verifier, err := verifierKey(lines[0])
	if err != nil {
		return nil, nil, errors.New("its first line is no signing key")
	}
	for _, earlier := range lines[1:] {
		if v, err := note.NewVerifier(earlier); err != nil || v.Name() != signer.Name() {
			return nil, nil, fmt.Errorf("a further line is no verifier key of %s", signer.Name())
		}
	}
	return signer, append([]string{verifier}, lines[1:]...), nil
}

// verifierKey returns the key that verifies what a signing key signs.
func verifierKey(signingKey string) (string, error) {
	parts := strings.SplitN(signingKey, "+", 5) // PRIVATE+KEY+name+hash+key
	if len(parts) != 5 {
		return "", errors.New("malformed signing key")
	}
	key, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return "", errors.New("malformed signing key")
	}
	public := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey) //nolint:forcetypeassert // it always is
	return note.NewEd25519VerifierKey(parts[2], public)
}

// chains reads the chains, the default one first.
func (s *DrawSettings) chains() ([]*draw.Chain, error) {
	var chains []*draw.Chain
	for _, file := range config.List(s.DrawChains) {
		text, err := os.ReadFile(file) //nolint:gosec // the operator names it
		if err != nil {
			return nil, err
		}
		chain, err := draw.ParseChain(text)
		if err != nil {
			return nil, err
		}
		chains = append(chains, chain)
	}
	return append(chains, draw.Quicknet()), nil
}

func (s *DrawSettings) relays() ([]string, error) {
	relays := config.List(s.DrawRelays)
	for i, relay := range relays {
		u, err := url.Parse(relay)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
			return nil, fmt.Errorf("%q is no URL of a relay", relay)
		}
		relays[i] = strings.TrimRight(relay, "/")
	}
	return relays, nil
}

// newDraws returns what draws need, or nil if they are off, and the configuration of the
// drawer. onFailed is called with why a raffle can't be drawn.
func newDraws(s *DrawSettings, onFailed func(reason string)) (*raffle.Draws, drawer.Config, error) {
	signer, keys, err := s.keys()
	if err != nil || signer == nil {
		return nil, drawer.Config{OnFailed: onFailed}, err
	}
	chains, err := s.chains()
	if err != nil {
		return nil, drawer.Config{}, err
	}
	relays, err := s.relays()
	if err != nil {
		return nil, drawer.Config{}, err
	}
	draws := &raffle.Draws{
		Signer: signer, Chains: make(map[string]*draw.Chain), DefaultChain: chains[0].Hash, Now: time.Now,
	}
	cfg := drawer.Config{Draws: draws, OnFailed: onFailed, VerifierKeys: keys, Beacons: make(map[string]drawer.Beacon)}
	for _, chain := range chains {
		draws.Chains[chain.Hash] = chain
		cfg.Beacons[chain.Hash] = &drand.Client{Chain: chain, Relays: relays, HTTP: &http.Client{}}
	}
	var verifiers []note.Verifier
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return nil, drawer.Config{}, err
		}
		verifiers = append(verifiers, verifier)
	}
	cfg.Verifier = note.VerifierList(verifiers...)
	return draws, cfg, nil
}
