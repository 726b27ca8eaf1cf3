package outbox

import (
	"context"
	"errors"
	"fmt"
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

// requestTimeout bounds each request to the server.
const requestTimeout = 5 * time.Second

// JetStream is the stream of odds on a NATS server. It implements Stream, and makes
// the stream when it is needed and does not exist. It is safe for concurrent use.
type JetStream struct {
	js       jetstream.JetStream
	replicas int
}

// NewJetStream returns the stream, with this many replicas in the NATS cluster.
func NewJetStream(js jetstream.JetStream, replicas int) *JetStream {
	return &JetStream{js: js, replicas: replicas}
}

// Ensure implements Stream. It also brings an existing stream to our configuration.
func (j *JetStream) Ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := j.js.CreateOrUpdateStream(ctx, oddsstream.Config(j.replicas)); err != nil {
		return fmt.Errorf("make stream %s: %w", oddsstream.Name, err)
	}
	return nil
}

// Last implements Stream.
func (j *JetStream) Last(ctx context.Context, raffleID int64) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := j.js.Stream(ctx, oddsstream.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Message{}, nil // Append makes it
	} else if err != nil {
		return Message{}, fmt.Errorf("find stream: %w", err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, oddsstream.Subject(raffleID))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, nil
	} else if err != nil {
		return Message{}, fmt.Errorf("read last odds: %w", err)
	}
	// The stream's information carries the server's time, so that our clock does not
	// matter. It is from before the message was read: the age may come out too small.
	last := Message{Seq: msg.Sequence, Age: stream.CachedInfo().TimeStamp.Sub(msg.Time)}
	var odds rafflev1.Odds
	if err := proto.Unmarshal(msg.Data, &odds); err != nil {
		// No reader can use it, so any version is better.
		return last, nil
	}
	last.Version = odds.GetVersion()
	return last, nil
}

// Append implements Stream.
func (j *JetStream) Append(ctx context.Context, r raffle.Raffle, after uint64) (uint64, error) {
	data, err := proto.Marshal(rafflepb.Odds(r))
	if err != nil {
		return 0, fmt.Errorf("encode odds: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: oddsstream.Subject(r.ID), Data: data}
	telemetry.Inject(ctx, msg)
	ack, err := j.js.PublishMsg(ctx, msg,
		jetstream.WithExpectLastSequencePerSubject(after), jetstream.WithRetryAttempts(0))
	if isConflict(err) {
		return 0, ErrConflict
	}
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		if err := j.Ensure(ctx); err != nil {
			return 0, err
		}
		return 0, ErrConflict // the new stream is empty, so the raffle has no last message
	}
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	return ack.Sequence, nil
}

// isConflict reports whether the server refused a message because the last sequence
// of its subject is not the expected one. The second code comes from a stream with
// replicas that have not agreed yet on a message before.
func isConflict(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// State implements Stream.
func (j *JetStream) State(ctx context.Context) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := j.js.Stream(ctx, oddsstream.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return State{}, nil
	} else if err != nil {
		return State{}, fmt.Errorf("find stream: %w", err)
	}
	info := stream.CachedInfo()
	return State{Created: info.Created, Last: info.State.LastSeq}, nil
}

// Versions implements Stream.
func (j *JetStream) Versions(ctx context.Context) (map[int64]int64, error) {
	versions := make(map[int64]int64)
	_, err := oddsstream.Snapshot(ctx, j.js, oddsstream.Names{}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) {
		subject, data := m.Subject(), m.Data()
		var odds rafflev1.Odds
		if id, ok := oddsstream.RaffleID(subject); ok && proto.Unmarshal(data, &odds) == nil {
			versions[id] = odds.GetVersion()
		}
	})
	return versions, err
}
