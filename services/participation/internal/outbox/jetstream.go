package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

const (
	// requestTimeout bounds each request to the server.
	requestTimeout = 5 * time.Second
	// stateTimeout bounds that for the stream's state, which is asked for every second.
	stateTimeout = 3 * time.Second
	// createLook is how often it is checked whether a stream exists that is being made:
	// if two instances make it at the same time, a cluster answers neither.
	createLook = 500 * time.Millisecond
	// maxSnapshots is how many snapshots are read until one has the stream's last
	// message. If none has it, that message was deleted.
	maxSnapshots = 8
	// snapshotPause is how long a replica that is behind has time to catch up.
	snapshotPause = 100 * time.Millisecond
)

// JetStream is the stream of odds on a NATS server. It implements Stream, and makes
// the stream when it is needed and does not exist. It is safe for concurrent use.
type JetStream struct {
	// Leaver, if it is set before any method is called, leaves a server that does not
	// answer for the stream.
	Leaver *natsconn.Leaver

	js       jetstream.JetStream
	names    oddsstream.Names
	replicas int
	database atomic.Pointer[string]
	// foreign is set while the stream belongs to another database, as of the last look
	// at it.
	foreign atomic.Pointer[ForeignStreamError]
}

// NewJetStream returns the stream with these names and this many replicas in the NATS
// cluster. UseDatabase must be called before any other method.
func NewJetStream(js jetstream.JetStream, names oddsstream.Names, replicas int) *JetStream {
	return &JetStream{js: js, names: names, replicas: replicas}
}

// UseDatabase implements Stream.
func (j *JetStream) UseDatabase(id string) { j.database.Store(&id) }

// Foreign returns a *ForeignStreamError if the stream belongs to another database, as
// of the last look at it, which is at most a few seconds old unless NATS is unavailable.
func (j *JetStream) Foreign() error {
	if err := j.foreign.Load(); err != nil {
		return err
	}
	return nil
}

// find returns the stream with its information, as its leader has it.
func (j *JetStream) find(ctx context.Context) (jetstream.Stream, error) {
	stream, err := j.js.Stream(ctx, j.names.Stream())
	if err == nil {
		err = oddsstream.CheckLeader(stream.CachedInfo())
	}
	switch {
	case j.Leaver == nil || errors.Is(err, context.Canceled):
	case err == nil || errors.Is(err, jetstream.ErrStreamNotFound):
		j.Leaver.Answered()
	default:
		j.Leaver.Failed(err)
	}
	return stream, err
}

// owned reports whether the stream belongs to our database. It fails with
// *ForeignStreamError if it belongs to another one.
func (j *JetStream) owned(info *jetstream.StreamInfo) (bool, error) {
	owner, ours := info.Config.Metadata[oddsstream.DatabaseKey], *j.database.Load()
	if owner == "" || owner == ours {
		j.foreign.Store(nil)
		return owner == ours, nil
	}
	err := &ForeignStreamError{Stream: j.names.Stream(), Owner: owner, Database: ours}
	j.foreign.Store(err)
	return false, err
}

// Ensure implements Stream. It also brings an existing stream to our configuration.
func (j *JetStream) Ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := j.find(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = j.create(ctx)
	}
	if err != nil {
		return fmt.Errorf("make stream %s: %w", j.names.Stream(), err)
	}
	if _, err := j.owned(stream.CachedInfo()); err != nil {
		return err
	}
	return j.update(ctx, stream.CachedInfo(), nil)
}

// create makes the stream, unless another instance makes it at the same time.
func (j *JetStream) create(ctx context.Context) (jetstream.Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		stream jetstream.Stream
		err    error
	}
	created := make(chan result, 1)
	var creating sync.WaitGroup
	defer creating.Wait()
	defer cancel()
	creating.Go(func() {
		cfg := j.names.Config(j.replicas)
		cfg.Metadata = map[string]string{oddsstream.DatabaseKey: *j.database.Load()}
		stream, err := oddsstream.Create(ctx, j.js, cfg)
		created <- result{stream, err}
	})
	look := time.NewTicker(createLook)
	defer look.Stop()
	for {
		select {
		case r := <-created:
			if errors.Is(r.err, jetstream.ErrStreamNameAlreadyInUse) {
				return j.find(ctx)
			}
			return r.stream, r.err
		case <-look.C:
			if stream, err := j.find(ctx); err == nil {
				return stream, nil
			}
		}
	}
}

// update brings the stream to our configuration and records these marks besides its
// owner, if anything of that is new.
func (j *JetStream) update(ctx context.Context, info *jetstream.StreamInfo, marks map[string]string) error {
	cfg, metadata := j.names.Config(j.replicas), maps.Clone(info.Config.Metadata)
	if metadata == nil {
		metadata = make(map[string]string)
	}
	metadata[oddsstream.DatabaseKey] = *j.database.Load()
	maps.Copy(metadata, marks)
	if configured(&info.Config, &cfg) && maps.Equal(metadata, info.Config.Metadata) {
		return nil
	}
	cfg.Metadata = metadata
	if _, err := j.js.UpdateStream(ctx, cfg); err != nil {
		return fmt.Errorf("configure stream %s: %w", j.names.Stream(), err)
	}
	return nil
}

// configured reports whether a stream has what we set of its configuration, and
// nothing that makes it lose messages.
func configured(is, want *jetstream.StreamConfig) bool {
	return is.Description == want.Description && slices.Equal(is.Subjects, want.Subjects) &&
		is.Retention == want.Retention && is.Discard == want.Discard && is.Storage == want.Storage &&
		is.MaxMsgsPerSubject == want.MaxMsgsPerSubject && is.Replicas == want.Replicas &&
		is.AllowDirect == want.AllowDirect && is.RePublish != nil && *is.RePublish == *want.RePublish &&
		is.MaxMsgs <= 0 && is.MaxBytes <= 0 && is.MaxAge == 0 && !is.Sealed
}

// Last implements Stream.
func (j *JetStream) Last(ctx context.Context, raffleID int64) (Message, error) {
	if err := j.Foreign(); err != nil {
		return Message{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := j.find(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Message{}, nil // Append makes it
	} else if err != nil {
		return Message{}, fmt.Errorf("find stream: %w", err)
	}
	if owned, err := j.owned(stream.CachedInfo()); err != nil {
		return Message{}, err
	} else if !owned {
		if err := j.update(ctx, stream.CachedInfo(), nil); err != nil {
			return Message{}, err
		}
	}
	msg, err := stream.GetLastMsgForSubject(ctx, j.names.Subject(raffleID))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, nil
	} else if err != nil {
		return Message{}, fmt.Errorf("read last odds: %w", err)
	}
	last := decode(raffleID, msg.Sequence, msg.Data)
	// The stream's information carries the server's time, so that our clock does not
	// matter. It is from before the message was read: the age may come out too small.
	last.Age = stream.CachedInfo().TimeStamp.Sub(msg.Time)
	return last, nil
}

// Append implements Stream.
func (j *JetStream) Append(ctx context.Context, r raffle.Raffle, after uint64) (uint64, error) {
	return j.append(ctx, rafflepb.Odds(r), after)
}

// Remove implements Stream.
func (j *JetStream) Remove(ctx context.Context, raffleID int64, last Message) (uint64, error) {
	return j.append(ctx, tombstone(raffleID, last), last.Seq)
}

// tombstone returns the message that follows last and says that the raffle does not
// exist any more.
func tombstone(raffleID int64, last Message) *rafflev1.Odds {
	odds := &rafflev1.Odds{Id: raffleID, Winners: 1, MaxEntriesPerMember: 1}
	if last.odds != nil {
		odds = proto.CloneOf(last.odds)
	}
	odds.Version, odds.State, odds.Removed = last.Version+1, rafflev1.Raffle_CANCELLED, true
	odds.NextEntryProbability, odds.At = nil, timestamppb.Now()
	return odds
}

func (j *JetStream) append(ctx context.Context, odds *rafflev1.Odds, after uint64) (uint64, error) {
	if err := j.Foreign(); err != nil {
		return 0, err
	}
	data, err := proto.Marshal(odds)
	if err != nil {
		return 0, fmt.Errorf("encode odds: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: j.names.Subject(odds.GetId()), Data: data}
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
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	stream, err := j.find(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return State{}, nil
	} else if err != nil {
		return State{}, fmt.Errorf("find stream: %w", err)
	}
	return j.state(stream.CachedInfo())
}

func (j *JetStream) state(info *jetstream.StreamInfo) (State, error) {
	owned, err := j.owned(info)
	return State{
		Created: info.Created, Last: info.State.LastSeq, Messages: info.State.Msgs, Subjects: info.State.NumSubjects,
		Owned: owned, Reconciled: owned && oddsstream.Reconciled(info.Config.Metadata),
	}, err
}

// Counts implements Stream.
func (j *JetStream) Counts(ctx context.Context) (State, map[int64]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := j.find(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return State{}, nil, nil
	} else if err != nil {
		return State{}, nil, fmt.Errorf("find stream: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(j.names.AllStored()))
	if err == nil {
		err = oddsstream.CheckLeader(info)
	}
	if err != nil {
		return State{}, nil, fmt.Errorf("count messages: %w", err)
	}
	counts := make(map[int64]uint64, len(info.State.Subjects))
	for subject, n := range info.State.Subjects {
		if id, ok := j.names.RaffleID(subject); ok {
			counts[id] = n
		}
	}
	state, err := j.state(info)
	return state, counts, err
}

// Newest implements Stream.
func (j *JetStream) Newest(ctx context.Context) (map[int64]Message, error) {
	for attempt := 1; ; attempt++ {
		newest := make(map[int64]Message)
		_, err := oddsstream.Snapshot(ctx, j.js, j.names, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) {
			if id, ok := j.names.RaffleID(msg.Subject()); ok {
				last := decode(id, meta.Sequence.Stream, msg.Data())
				last.odds = nil // of many raffles it would take much memory
				newest[id] = last
			}
		})
		if !errors.Is(err, oddsstream.ErrBehind) || attempt == maxSnapshots {
			return newest, ignoreBehind(err)
		}
		select {
		case <-time.After(snapshotPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func ignoreBehind(err error) error {
	if errors.Is(err, oddsstream.ErrBehind) {
		return nil
	}
	return err
}

// MarkReconciled implements Stream.
func (j *JetStream) MarkReconciled(ctx context.Context, created time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := j.find(ctx)
	if err != nil {
		return fmt.Errorf("find stream: %w", err)
	}
	info := stream.CachedInfo()
	if _, err := j.owned(info); err != nil {
		return err
	}
	if !info.Created.Equal(created) {
		return errors.New("the stream was made again while it was filled")
	}
	return j.update(ctx, info, map[string]string{oddsstream.ReconciledKey: "true"})
}
