package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"

	client "github.com/rafflecast/rafflecast/clients/go"
)

// enterMany places n entries over a stream and waits for all.
func enterMany(t *testing.T, s *client.Stream, n int) {
	t.Helper()
	futures := make([]*client.Future, n)
	for i := range futures {
		var err error
		futures[i], err = s.Enter(deadline(t), &rafflev1.EnterRequest{RaffleId: 1, MemberId: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range futures {
		resp, err := f.Wait(deadline(t))
		if err != nil || resp.GetEntry().GetMemberId() != fmt.Sprint(i) {
			t.Errorf("member %d was answered %v, %v", i, resp, err)
		}
	}
}

func TestStream_LosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fake{
		"quiet": {}, "cut": {end: 7}, "ended as announced": {end: 7, announced: true},
		"busy": {fail: func(n int) error {
			if n%3 == 0 {
				return refusal(codes.ResourceExhausted, "BUSY", time.Millisecond)
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := f.start(t, client.Options{}).Stream(t.Context(), 40)
			enterMany(t, s, 100)
			s.Close()
			if len(f.placed) != 100 || f.placed[""] != 0 {
				t.Errorf("%d entries", len(f.placed))
			}
			if f.end > 0 && f.streams < 100/f.end {
				t.Errorf("%d streams", f.streams)
			}
			if _, err := s.Enter(t.Context(), &rafflev1.EnterRequest{}); !errors.Is(err, client.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

func TestStream_CloseAnswersWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	f := &fake{fail: func(n int) error {
		if n == 1 {
			return refusal(codes.Unavailable, "STORE_UNAVAILABLE", time.Millisecond)
		}
		return nil
	}}
	s := f.start(t, client.Options{}).Stream(t.Context(), 0)
	future, err := s.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	select {
	case <-future.Done():
	default:
		t.Fatal("closed without an answer")
	}
	if _, err := future.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()
}

func TestStream_AnswersARefusalToItsRequest(t *testing.T) {
	t.Parallel()
	f := &fake{fail: func(n int) error {
		if n == 2 {
			return refusal(codes.FailedPrecondition, "ENTRY_LIMIT_REACHED", 0)
		}
		return nil
	}}
	s := f.start(t, client.Options{}).Stream(t.Context(), 1) // one after the other
	defer s.Close()
	for n := 1; n <= 3; n++ {
		future, err := s.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = future.Wait(deadline(t))
		if e, ok := errors.AsType[*client.Error](err); ok != (n == 2) || ok && e.Reason != "ENTRY_LIMIT_REACHED" {
			t.Errorf("request %d: %v", n, err)
		}
	}
	if f.streams != 1 {
		t.Errorf("%d streams", f.streams)
	}
}

func TestStream_FailsWhatIsPendingIfItCannotBeOpened(t *testing.T) {
	t.Parallel()
	f := &fake{authorized: func(context.Context) error { return refusal(codes.PermissionDenied, "ROLE_MISSING", 0) }}
	s := f.start(t, client.Options{}).Stream(t.Context(), 0)
	defer s.Close()
	future, err := s.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := future.Wait(deadline(t)); status.Code(err) != codes.PermissionDenied {
		t.Error(err)
	}
}

func TestStream_OpensAnotherOneWithANewToken(t *testing.T) {
	t.Parallel()
	f := &fake{authorized: func(ctx context.Context) error {
		if md, _ := metadata.FromIncomingContext(ctx); md.Get("authorization")[0] != "Bearer 3" {
			return refusal(codes.Unauthenticated, "TOKEN_EXPIRED", 0)
		}
		return nil
	}}
	s := f.start(t, client.Options{Tokens: &source{n: 1}}).Stream(t.Context(), 0)
	defer s.Close()
	enterMany(t, s, 1)
}

func TestStream_EndsARequestWithItsContext(t *testing.T) {
	t.Parallel()
	f := &fake{fail: func(int) error { return refusal(codes.ResourceExhausted, "RATE_LIMITED", time.Hour) }}
	running, stop := context.WithCancel(t.Context())
	defer stop()
	s := f.start(t, client.Options{}).Stream(running, 2)
	ctx, cancel := context.WithCancel(t.Context())
	var futures []*client.Future
	for _, ctx := range []context.Context{ctx, t.Context()} {
		future, err := s.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		futures = append(futures, future)
	}
	if _, err := s.Enter(canceled(t), &rafflev1.EnterRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("beyond the bound: %v", err)
	}
	cancel()
	if _, err := futures[0].Wait(deadline(t)); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	stop() // of the stream: nothing stays without an answer
	if _, err := futures[1].Wait(deadline(t)); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	s.Close()
}

func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestStream_RefusesWhatWouldEndItForOthers(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := f.start(t, client.Options{}).Stream(t.Context(), 0)
	defer s.Close()
	for _, member := range []string{"\xff", strings.Repeat("a", 20<<10)} {
		if _, err := s.Enter(t.Context(), &rafflev1.EnterRequest{MemberId: member}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%.3q: %v", member, err)
		}
	}
	enterMany(t, s, 1)
}
