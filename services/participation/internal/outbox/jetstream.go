package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// requestTimeout bounds each exchange with the server.
const requestTimeout = 5 * time.Second

// conflicts are the server's error codes for ErrConflict: JSStreamWrongLastSequenceErrF,
// and JSStreamWrongLastSequenceConstantErr, where replicas have not agreed yet on a
// message before.
var conflicts = []jetstream.ErrorCode{10071, 10164}

// JetStream is the stream of odds on a NATS server, which it makes where there
// is none. Safe for concurrent use.
type JetStream struct {
	js       jetstream.JetStream
	replicas int
}

// NewJetStream returns the stream with this many replicas.
func NewJetStream(js jetstream.JetStream, replicas int) *JetStream {
	return &JetStream{js: js, replicas: replicas}
}

// Ensure makes the stream, or brings it to our configuration. Idempotent.
func (j *JetStream) Ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := j.js.CreateOrUpdateStream(ctx, oddsstream.Config(j.replicas)); err != nil {
		return fmt.Errorf("make stream %s: %w", oddsstream.Name, err)
	}
	return nil
}

// Last implements Stream.
func (j *JetStream) Last(ctx context.Context, raffleID int64) (uint64, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := j.js.Stream(ctx, oddsstream.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, 0, nil // Append makes it
	} else if err != nil {
		return 0, 0, fmt.Errorf("find stream: %w", err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, oddsstream.Subject(raffleID))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, 0, nil
	} else if err != nil {
		return 0, 0, fmt.Errorf("read last odds: %w", err)
	}
	var odds rafflev1.Odds
	if err := proto.Unmarshal(msg.Data, &odds); err != nil {
		// Nothing that readers could use: any version is better.
		return msg.Sequence, 0, nil
	}
	return msg.Sequence, odds.GetVersion(), nil
}

// Append implements Stream.
func (j *JetStream) Append(ctx context.Context, o raffle.Odds, tail uint64) (uint64, error) {
	data, err := proto.Marshal(rafflepb.Odds(o))
	if err != nil {
		return 0, fmt.Errorf("encode odds: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: oddsstream.Subject(o.ID), Data: data}
	telemetry.Inject(ctx, msg)
	ack, err := j.js.PublishMsg(ctx, msg,
		jetstream.WithExpectLastSequencePerSubject(tail), jetstream.WithRetryAttempts(0))
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && slices.Contains(conflicts, api.ErrorCode) {
		return 0, ErrConflict
	}
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		if err := j.Ensure(ctx); err != nil {
			return 0, err
		}
		return 0, ErrConflict // a new stream: look again
	}
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	return ack.Sequence, nil
}

// State implements Stream.
func (j *JetStream) State(ctx context.Context) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := j.js.Stream(ctx, oddsstream.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return State{}, nil // another one than any that was
	} else if err != nil {
		return State{}, fmt.Errorf("find stream: %w", err)
	}
	info := stream.CachedInfo()
	return State{Created: info.Created, Last: info.State.LastSeq}, nil
}

// Versions implements Stream.
func (j *JetStream) Versions(ctx context.Context) (map[int64]int64, error) {
	versions := make(map[int64]int64)
	err := oddsstream.Snapshot(ctx, j.js, func(subject string, data []byte) {
		var odds rafflev1.Odds
		if id, ok := oddsstream.RaffleID(subject); ok && proto.Unmarshal(data, &odds) == nil {
			versions[id] = odds.GetVersion()
		}
	})
	return versions, err
}
