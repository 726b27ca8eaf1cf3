package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// honest are the latencies of honest callers, by what they do.
type honest map[string][]time.Duration

func (h honest) p99(what string) time.Duration {
	sorted := slices.Sorted(slices.Values(h[what]))
	return sorted[len(sorted)*99/100]
}

// add adds the latencies of other calls.
func (h honest) add(more honest) {
	for what, latencies := range more {
		h[what] = append(h[what], latencies...)
	}
}

// answerTimeout is how long an honest caller waits.
const answerTimeout = 5 * time.Second

// honestInterval is the time between two honest calls of a kind.
const honestInterval = 10 * time.Millisecond

// reader reads odds from a server, over connections that it keeps or, if ABUSE_ANEW is set,
// as somebody else each time, who connects anew.
type reader struct {
	client *http.Client
	url    string
}

// newReader returns a reader of a raffle's odds at a server's URL.
func newReader(t *testing.T, server string, id int64) reader {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	if cfg := http.DefaultTransport.(*http.Transport).TLSClientConfig; cfg != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: cfg.RootCAs}
	}
	if os.Getenv("ABUSE_ANEW") != "" {
		transport.DisableKeepAlives = true
		transport.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
			from := net.IPv4(127, 2, byte(rand.N(256)), byte(rand.N(256)))
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext(ctx, network, to)
		}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return reader{&http.Client{Timeout: answerTimeout, Transport: transport}, fmt.Sprintf("%s/api/v1/raffles/%d/odds", server, id)}
}

// read reads all of an answer, without which its connection is not kept.
func (r *reader) read() error {
	resp, err := r.client.Get(r.url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// callHonestly calls a hundred times a second for a while: it enters, and reads odds from r.
func (b *testBundle) callHonestly(t *testing.T, id int64, r reader, prefix string, d time.Duration) honest {
	t.Helper()
	h, mu, failed := honest{}, sync.Mutex{}, atomic.Int64{}
	defer func() {
		if n := failed.Load(); n > 0 {
			t.Logf("%s: %d calls failed", prefix, n)
		}
	}()
	timed := func(what string, call func() error) {
		start := time.Now()
		err := call()
		mu.Lock()
		defer mu.Unlock()
		if err != nil && failed.Add(1) <= 3 {
			t.Errorf("%s: %v", what, err)
		}
		h[what] = append(h[what], time.Since(start))
	}
	var calls sync.WaitGroup
	tick := time.NewTicker(honestInterval)
	defer tick.Stop()
	for i := range int(d / honestInterval) {
		<-tick.C
		calls.Go(func() {
			timed("Enter", func() error {
				ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
				defer cancel()
				_, err := b.client.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: id, MemberId: prefix + strconv.Itoa(i)})
				return err
			})
		})
		calls.Go(func() {
			timed("odds", r.read)
		})
	}
	calls.Wait()
	return h
}
