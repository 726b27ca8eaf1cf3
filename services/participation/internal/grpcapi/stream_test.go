package grpcapi

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

func enter(id int64) *rafflev1.EnterStreamRequest {
	return &rafflev1.EnterStreamRequest{CorrelationId: id, Enter: &rafflev1.EnterRequest{RaffleId: 1, MemberId: "m"}}
}

func TestEnterStream_EndsWhenTheServiceStops(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	submitted, release := make(chan struct{}, 1), make(chan struct{})
	b.store.call = func(context.Context) error {
		submitted <- struct{}{}
		<-release
		return nil
	}
	stream, err := b.entries.EnterStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(enter(7)); err != nil {
		t.Fatal(err)
	}
	<-submitted
	close(b.stopping)
	resp, err := stream.Recv()
	close(release)
	if err != nil || resp.GetEnding().GetReason() != rafflev1.StreamEnding_SHUTDOWN {
		t.Fatalf("first %v, %v", resp, err)
	}
	if resp, err = stream.Recv(); err != nil || resp.GetCorrelationId() != 7 || resp.GetEntered() == nil {
		t.Errorf("then %v, %v", resp, err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestEnterStream_EndsAtItsAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const age = 50 * time.Millisecond
		b := setup(t, func(cfg *Config) { cfg.MaxConnectionAge = age })
		began := time.Now()
		stream, err := b.entries.EnterStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil || resp.GetEnding().GetReason() != rafflev1.StreamEnding_MAX_AGE {
			t.Errorf("first %v, %v", resp, err)
		}
		if took := time.Since(began); took > age*11/10 {
			t.Errorf("it came after %v", took)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("the stream ended with %v", err)
		}
	})
}

// The errors of a stream's request name its fields as Enter does.
func TestEnterStream_ErrorsAreThoseOfEnter(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	stream, err := b.entries.EnterStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, member := range []string{"not valid", ""} {
		req := enter(int64(id))
		req.Enter.MemberId = member
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		_, unary := b.entries.Enter(t.Context(), req.GetEnter())
		if got, want := status.FromProto(resp.GetStatus()).String(), status.Convert(unary).String(); got != want {
			t.Errorf("by stream %s, by Enter %s", got, want)
		}
		if got, want := len(resp.GetStatus().GetDetails()), len(status.Convert(unary).Proto().GetDetails()); got != want || want == 0 {
			t.Errorf("%d details, Enter has %d", got, want)
		}
	}
}
