package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"

	client "github.com/rafflecast/rafflecast/clients/go"
)

func TestClient_RepeatsAnEntryWithItsRequestID(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"unavailable": refusal(codes.Unavailable, "STORE_UNAVAILABLE", time.Millisecond),
		"busy":        refusal(codes.ResourceExhausted, "BUSY", time.Millisecond),
		"a lost link": status.Error(codes.Unavailable, "EOF"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{fail: func(n int) error {
				if n < 3 {
					return err
				}
				return nil
			}}
			c := f.start(t, client.Options{})
			resp, err := c.Enter(deadline(t), 1, "alice")
			if err != nil || !resp.GetReplayed() || f.requests != 3 || len(f.placed) != 1 {
				t.Errorf("%v, %v after %d requests, %d entries", resp, err, f.requests, len(f.placed))
			}
			if f.placed[""] != 0 {
				t.Error("the request had no id")
			}
		})
	}
}

func TestClient_KeepsTheCallersRequestID(t *testing.T) {
	t.Parallel()
	f := &fake{}
	c := f.start(t, client.Options{})
	req := &rafflev1.EnterRequest{RaffleId: 1, MemberId: "alice", RequestId: "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e"}
	for range 2 {
		if _, err := c.Entries.Enter(deadline(t), req); err != nil {
			t.Error(err)
		}
	}
	without := &rafflev1.EnterRequest{RaffleId: 1, MemberId: "alice"}
	if _, err := c.Entries.Enter(deadline(t), without); err != nil || without.GetRequestId() != "" {
		t.Errorf("the caller's request was changed: %v (%v)", without, err)
	}
	if len(f.placed) != 2 || f.placed[req.GetRequestId()] != 1 {
		t.Errorf("entries %v", f.placed)
	}
}

func TestClient_WaitsAsRetryInfoAsks(t *testing.T) {
	t.Parallel()
	const asked = 300 * time.Millisecond
	var at []time.Time
	f := &fake{fail: func(n int) error {
		at = append(at, time.Now())
		if n == 1 {
			return refusal(codes.ResourceExhausted, "RATE_LIMITED", asked)
		}
		return nil
	}}
	if _, err := f.start(t, client.Options{}).Enter(deadline(t), 1, "alice"); err != nil {
		t.Fatal(err)
	}
	if len(at) != 2 || at[1].Sub(at[0]) < asked {
		t.Errorf("requests at %v", at)
	}
}

func TestClient_ReturnsAtOnceIfTheDeadlineComesFirst(t *testing.T) {
	t.Parallel()
	f := &fake{fail: func(int) error { return refusal(codes.ResourceExhausted, "RATE_LIMITED", time.Hour) }}
	_, err := f.start(t, client.Options{}).Enter(deadline(t), 1, "alice")
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Reason != "RATE_LIMITED" || e.RetryAfter != time.Hour || f.requests != 1 {
		t.Errorf("%+v after %d requests", err, f.requests)
	}
}

// Once no instance is ready, a Service of Kubernetes has no address, and its name does not
// resolve: gRPC answers by itself. The client goes on trying, and if that takes too long, its
// error says when to try again, as that of a service does.
func TestClient_SaysWhenToRetryIfNoServiceCanBeReached(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]resolver.State{"no address": {}, "nobody there": {Addresses: []resolver.Address{{Addr: "127.0.0.1:1"}}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			address, stop, err := f.serve()
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			service := manual.NewBuilderWithScheme("service")
			service.InitialState(state)
			c, err := client.New("service:///participation", client.Options{Dial: []grpc.DialOption{grpc.WithResolvers(service)}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err = c.Enter(ctx, 1, "alice")
			e, ok := errors.AsType[*client.Error](err)
			if !ok || e.Code != codes.Unavailable || e.Reason != "" || e.RetryAfter != time.Second {
				t.Errorf("%#v", err)
			}

			entered := make(chan error, 1)
			go func() {
				_, err := c.Enter(deadline(t), 1, "alice")
				entered <- err
			}()
			service.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: address}}})
			if err := <-entered; err != nil || len(f.placed) != 1 {
				t.Errorf("once there is a service: %v, %d entries", err, len(f.placed))
			}
		})
	}
}

func TestClient_ReturnsTypedErrors(t *testing.T) {
	t.Parallel()
	for _, refused := range []error{
		refusal(codes.FailedPrecondition, "ENTRY_LIMIT_REACHED", 0),
		refusal(codes.ResourceExhausted, "TOO_LARGE", 0), // the transport's: another try is of no use
	} {
		f := &fake{fail: func(int) error { return refused }}
		_, err := f.start(t, client.Options{}).Enter(deadline(t), 1, "alice")
		e, ok := errors.AsType[*client.Error](err)
		if !ok || e.Reason == "" || e.RetryAfter != 0 || e.Metadata["limit"] != "2" || status.Code(err) != status.Code(refused) || f.requests != 1 {
			t.Errorf("%#v after %d requests", err, f.requests)
		}
	}
}

// source makes tokens that are valid for an hour by our clock.
type source struct {
	mu sync.Mutex
	n  int
}

func (s *source) Token() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n++; s.n == 1 {
		return nil, errors.New("the issuer does not answer")
	}
	return &oauth2.Token{AccessToken: fmt.Sprint(s.n), Expiry: time.Now().Add(time.Hour)}, nil
}

func TestClient_RenewsATokenThatHasExpired(t *testing.T) {
	t.Parallel()
	f := &fake{authorized: func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		if md.Get("authorization")[0] != "Bearer 3" {
			return refusal(codes.Unauthenticated, "TOKEN_EXPIRED", 0)
		}
		return nil
	}}
	s := &source{}
	c := f.start(t, client.Options{Tokens: s})
	for range 3 {
		if _, err := c.Enter(deadline(t), 1, "alice"); err != nil {
			t.Error(err)
		}
	}
	if s.n != 3 {
		t.Errorf("%d tokens", s.n)
	}
	c = f.start(t, client.Options{Tokens: s}) // with 4 and 5, which are not accepted
	_, err := c.Enter(deadline(t), 1, "alice")
	if status.Code(err) != codes.Unauthenticated || s.n != 5 {
		t.Errorf("%v after %d tokens", err, s.n)
	}
}

func TestNew_SendsTokensWithoutTLSToThisMachineOnly(t *testing.T) {
	t.Parallel()
	for target, allowed := range map[string]bool{
		"localhost:9090": true, "dns:///127.0.0.1:9090": true, "[::1]:9090": true, "unix:/tmp/socket": true,
		"participation:9090": false, "dns:///10.0.0.1:9090": false, "localhost.example.com:9090": false,
	} {
		c, err := client.New(target, client.Options{Tokens: &source{}})
		if (err == nil) != allowed {
			t.Errorf("%s: %v", target, err)
		}
		if err == nil {
			c.Close()
		}
	}
}
