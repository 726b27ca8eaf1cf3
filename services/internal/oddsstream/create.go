package oddsstream

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// storeFailed is the server's error code JSStreamCreateErrF: it could not make the
	// stream's files.
	storeFailed jetstream.ErrorCode = 10049
	// creations is how many times Create asks the server.
	creations = 3
)

// Create creates the stream of odds. It is jetstream.ErrStreamNameAlreadyInUse if there
// is one with another configuration.
//
// A NATS server without a cluster removes the directory of an account's streams just
// after its last stream was deleted, in the background: a stream that is created at that
// moment fails. Create asks again then.
func Create(ctx context.Context, js jetstream.StreamManager, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	for range creations - 1 {
		stream, err := js.CreateStream(ctx, cfg)
		if failed, ok := errors.AsType[*jetstream.APIError](err); !ok || failed.ErrorCode != storeFailed {
			return stream, err
		}
	}
	return js.CreateStream(ctx, cfg)
}
