package access

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"golang.org/x/time/rate"
)

const (
	// unknownInterval is the least time between two reads because of an unknown key.
	unknownInterval = 5 * time.Second
	// fileInterval is how often a file is looked at.
	fileInterval = time.Second
	// firstInterval is the time between two attempts to read the first keys.
	firstInterval = time.Second
	// readTimeout bounds one read from a URL.
	readTimeout = 5 * time.Second
	// maxRedirections bounds the requests of one read from a URL that redirects.
	maxRedirections = 5
	// maxKeys bounds the text of a key set in bytes.
	maxKeys = 1 << 20
)

// keySet is what was read at one time.
type keySet struct {
	text []byte
	keys []key
}

// key is a public key.
type key struct {
	id        string // empty if the set names none; several keys may have the same
	public    crypto.PublicKey
	algorithm string // that it is for; empty if the set names none
}

// parseKeys reads a JWK set. Keys of kinds that no known algorithm has are left out; a
// set without any other key is an error.
func parseKeys(text []byte) (*keySet, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("not a JWK set")
	}
	keys := &keySet{text: text}
	for _, one := range set.Keys {
		parsed, err := jwkset.NewJWKFromMarshal(one, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
		if err != nil {
			continue
		}
		private, ok := parsed.Key().(interface{ Public() crypto.PublicKey })
		public := parsed.Key()
		if ok {
			public = private.Public()
		}
		if _, secret := public.([]byte); secret || (one.USE != "" && one.USE != jwkset.UseSig) {
			continue
		}
		keys.keys = append(keys.keys, key{one.KID, public, one.ALG.String()})
	}
	if len(keys.keys) == 0 {
		return nil, errors.New("it has no public key for signatures")
	}
	return keys, nil
}

// keys are the newest keys of a source.
type keys struct {
	from     string        // as the log names it
	interval time.Duration // between two reads
	read     func(context.Context) ([]byte, error)
	log      *slog.Logger
	failures rate.Sometimes

	set atomic.Pointer[keySet] // nil before the first read

	wanted  chan struct{} // holds a value if somebody waits for a read
	mu      sync.Mutex
	reading chan struct{} // closed when the read that somebody waits for is over; nil: none is
	unknown *rate.Limiter // of reads because of unknown keys
}

// newKeys returns keys that were read from a file, or that run will read from a URL.
func newKeys(from string, interval time.Duration, log *slog.Logger) (*keys, error) {
	k := &keys{
		from: from, interval: interval, log: log, failures: rate.Sometimes{First: 1, Interval: time.Minute},
		wanted: make(chan struct{}, 1), unknown: rate.NewLimiter(rate.Every(unknownInterval), 1),
	}
	if strings.Contains(from, "://") {
		u, err := url.Parse(from)
		if err != nil {
			return nil, err
		}
		k.from = u.Redacted()
		client := &http.Client{Timeout: readTimeout, CheckRedirect: keepTLS}
		k.read = func(ctx context.Context) ([]byte, error) { return readURL(ctx, client, from) }
		return k, nil
	}
	k.interval = fileInterval
	k.read = func(context.Context) ([]byte, error) { return os.ReadFile(from) } //nolint:gosec // G304: the operator names this file
	return k, k.refresh(context.Background())
}

// keepTLS follows a few redirections, but none from https to http: whoever is on the way
// could then answer with keys of their own.
func keepTLS(next *http.Request, before []*http.Request) error {
	switch {
	case len(before) >= maxRedirections:
		return fmt.Errorf("it redirected %d times", len(before))
	case before[len(before)-1].URL.Scheme == "https" && next.URL.Scheme != "https":
		return errors.New("it redirects from https to " + next.URL.Scheme)
	}
	return nil
}

func readURL(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxKeys))
}

// run reads the keys at intervals, and when somebody waits for it, until ctx ends.
func (k *keys) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		isWanted := false
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-k.wanted:
			isWanted = true
		}
		next := k.interval
		if err := k.refresh(ctx); err != nil && ctx.Err() == nil {
			k.failures.Do(func() { k.log.Warn("the keys of tokens can't be read", "from", k.from, "error", err) })
			if k.set.Load() == nil {
				next = firstInterval
			}
		}
		if isWanted { // else the read may have begun before somebody met an unknown key
			k.finishRead()
		}
		timer.Reset(next)
	}
}

// refresh reads the keys. If it fails, those that were read before stay.
func (k *keys) refresh(ctx context.Context) error {
	text, err := k.read(ctx)
	if err != nil {
		return err
	}
	before := k.set.Load()
	if before != nil && bytes.Equal(text, before.text) {
		return nil
	}
	set, err := parseKeys(text)
	if err != nil {
		return fmt.Errorf("%s: %w", k.from, err)
	}
	k.set.Store(set)
	if before != nil {
		k.log.Info("the keys of tokens have changed", "keys", len(set.keys))
	}
	return nil
}

// again has the keys read again, and returns when that is done; at once if they were
// read for an unknown key a moment ago.
func (k *keys) again(ctx context.Context) {
	k.mu.Lock()
	reading := k.reading
	if reading == nil && k.unknown.Allow() {
		reading = make(chan struct{})
		k.reading = reading
		k.wanted <- struct{}{} // has room: only who makes the channel sends
	}
	k.mu.Unlock()
	if reading == nil {
		return
	}
	select {
	case <-reading:
	case <-ctx.Done():
	}
}

// finishRead tells those who wait that the keys were read.
func (k *keys) finishRead() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.reading)
	k.reading = nil
}

// find returns the keys with an id. A token without an id may be signed by any key of
// its algorithm.
func (k *keys) find(ctx context.Context, id, algorithm string) (set *keySet, found []crypto.PublicKey, err error) {
	for attempt := range 2 {
		if attempt > 0 {
			k.again(ctx)
		}
		if set = k.set.Load(); set == nil {
			continue
		}
		if found = set.find(id, algorithm); len(found) > 0 {
			return set, found, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, nil, context.Cause(ctx)
	case set == nil:
		return nil, nil, ErrKeysUnavailable
	}
	return nil, nil, invalid("the token is signed with an unknown key")
}

func (s *keySet) find(id, algorithm string) (found []crypto.PublicKey) {
	for _, k := range s.keys {
		if (id == "" || k.id == id) && (k.algorithm == "" || k.algorithm == algorithm) {
			found = append(found, k.public)
		}
	}
	return found
}
