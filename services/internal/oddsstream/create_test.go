package oddsstream_test

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// failing is a server that answers these errors before it does as it is told.
type failing struct {
	jetstream.JetStream
	answers []error
}

func (f *failing) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	if len(f.answers) == 0 {
		return f.JetStream.CreateStream(ctx, cfg)
	}
	err := f.answers[0]
	f.answers = f.answers[1:]
	return nil, err
}

func TestCreate_AsksAgainIfTheServerRemovesADeletedStream(t *testing.T) {
	t.Parallel()
	removing := &jetstream.APIError{Code: 500, ErrorCode: 10049, Description: "error creating store for stream"}
	full := &jetstream.APIError{Code: 500, ErrorCode: 10047, Description: "insufficient storage resources available"}
	for name, test := range map[string]struct {
		answers []error
		want    error
	}{
		"at once":     {nil, nil},
		"a moment":    {[]error{removing, removing}, nil},
		"it goes on":  {[]error{removing, removing, removing}, removing},
		"other error": {[]error{full}, full},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := natstest.Start(t).JetStream()
			stream, err := oddsstream.Create(t.Context(), &failing{js, test.answers}, oddsstream.Config(1))
			if !errors.Is(err, test.want) || (stream != nil) != (err == nil) {
				t.Fatalf("Create returned %v, %v; want the error %v", stream, err, test.want)
			}
			if _, err := js.Stream(t.Context(), oddsstream.Name); (err == nil) != (test.want == nil) {
				t.Errorf("the stream after it: %v", err)
			}
		})
	}
}

func TestCreate_LeavesAnotherStreamAlone(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	other := oddsstream.Config(1)
	other.Description = "another"
	if _, err := oddsstream.Create(t.Context(), js, other); err != nil {
		t.Fatal(err)
	}
	if _, err := oddsstream.Create(t.Context(), js, oddsstream.Config(1)); !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		t.Errorf("Create of a stream that exists returned %v", err)
	}
}
