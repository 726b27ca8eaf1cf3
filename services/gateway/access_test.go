package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

func TestConfig_IsClosedUnlessTold(t *testing.T) {
	t.Parallel()
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		cfg := DefaultConfig()
		cfg.Address, cfg.Log = address, slog.New(slog.DiscardHandler)
		err := Run(t.Context(), cfg)
		if err == nil || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), "--address="+address) || !strings.Contains(err.Error(), "--allow-anonymous") {
			t.Errorf("%s: %v", address, err)
		}
		cfg.Address, cfg.OpsAddress = "127.0.0.1:0", address
		if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "--ops-address="+address) {
			t.Errorf("%s for operations: %v", address, err)
		}
		cfg.Address = address
		cfg.Access.AllowAnonymous = true
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s and told: %v", address, err)
		}
		cfg.Access.AllowAnonymous, cfg.Access.JWKS, cfg.Access.Issuer = false, tokentest.File(t, tokentest.NewKey(t, "1")), tokentest.Issuer
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s with authentication: %v", address, err)
		}
	}
}

// Hundreds of streams share one HTTP/2 connection, by TLS in the gateway itself.
func TestTLS_HundredsOfStreamsOnOneConnection(t *testing.T) {
	t.Parallel()
	authority := testenv.NewAuthority(t)
	dir := authority.Dir()
	s := start(t, func(cfg *Config) {
		cfg.TLS.Certificate, cfg.TLS.Key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, ForceAttemptHTTP2: true, MaxConnsPerHost: 1}
	client := &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const streams = 600
	var began, ended sync.WaitGroup
	began.Add(streams)
	errs := make(chan error, streams)
	for range streams {
		ended.Go(func() {
			errs <- func() error {
				isFirst := true
				defer func() {
					if isFirst {
						began.Done()
					}
				}()
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.addrs.HTTP.String()+"/api/v1/raffles/1/subscribe", nil)
				if err != nil {
					return err
				}
				resp, err := client.Do(req)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
					return fmt.Errorf("%s %s", resp.Proto, resp.Status)
				}
				for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
					if strings.HasPrefix(lines.Text(), "data:") && isFirst {
						isFirst = false
						began.Done()
					}
					if strings.Contains(lines.Text(), `"version":2`) {
						return nil
					}
				}
				return fmt.Errorf("the stream ended: %w", ctx.Err())
			}()
		})
	}
	began.Wait()
	s.publish(2)
	ended.Wait()
	for range streams {
		if err := <-errs; err != nil {
			t.Error(err)
			break
		}
	}
	transport.CloseIdleConnections()
	s.stop()
	<-s.ended
}

// Who may watch is told by participation, through NATS.
func TestMembersOnly_ComesFromTheStream(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	s := start(t, func(cfg *Config) { cfg.Access.JWKS, cfg.Access.Issuer = tokentest.File(t, key), tokentest.Issuer })
	data, err := proto.Marshal(&rafflev1.Odds{Id: 2, Version: 1, State: rafflev1.Raffle_OPEN, Title: "A", Winners: 1, Visibility: rafflev1.Raffle_MEMBERS})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.nats.JetStream().Publish(t.Context(), oddsstream.Subject(2), data); err != nil {
		t.Fatal(err)
	}
	url := "http://" + s.addrs.HTTP.String() + "/api/v1/raffles/2/odds"
	testenv.AwaitStatus(t, url, http.StatusUnauthorized)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key.Token("7", "member"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	s.stop()
	<-s.ended
}
