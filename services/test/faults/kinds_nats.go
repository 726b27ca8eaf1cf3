package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// answerWithin bounds what a fault asks of JetStream.
const answerWithin = 3 * time.Second

// odds returns the stream of odds.
func (s *system) odds(ctx context.Context) (jetstream.Stream, error) {
	js, err := s.stream()
	if err != nil {
		return nil, err
	}
	return js.Stream(ctx, oddsstream.Name)
}

func killLeader(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	i, err := s.leader(ctx)
	if err != nil {
		return nil, err
	}
	_ = s.nats[i].end(syscall.SIGKILL, time.Second)
	return func(context.Context) error { return s.nats[i].start() }, nil
}

func purgeStream(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	stream, err := s.odds(ctx)
	if err != nil {
		return nil, err
	}
	return nothing, stream.Purge(ctx)
}

func purgeSubject(ctx context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	stream, err := s.odds(ctx)
	if err != nil {
		return nil, err
	}
	return nothing, stream.Purge(ctx, jetstream.WithPurgeSubject(oddsstream.Subject(int64(1+r.IntN(raffles)))))
}

func deleteStream(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	js, err := s.stream()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return nothing, js.DeleteStream(ctx, oddsstream.Name)
}

// fullStream leaves the stream no room: a server answers as it does when its disk
// is full.
func fullStream(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	set := func(ctx context.Context, bytes int64) error {
		js, err := s.stream()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		stream, err := js.Stream(ctx, oddsstream.Name)
		if err != nil {
			return err
		}
		cfg := stream.CachedInfo().Config
		cfg.MaxBytes, cfg.Discard = bytes, jetstream.DiscardNew
		if bytes < 0 {
			cfg.Discard = jetstream.DiscardOld
		}
		_, err = js.UpdateStream(ctx, cfg)
		return err
	}
	end := func(ctx context.Context) error {
		return eventually(ctx, 15*time.Second, "the stream has room again", func(ctx context.Context) error { return set(ctx, -1) })
	}
	return end, set(ctx, 1000)
}

// loseStore kills a server and starts it again with an empty disk.
func loseStore(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
	i := r.IntN(servers)
	_ = s.nats[i].end(syscall.SIGKILL, time.Second)
	err := os.RemoveAll(s.natsStore(i))
	return func(context.Context) error { return s.nats[i].start() }, err
}

// killTogether kills a NATS server and a gateway, and starts both at the same time:
// the gateway may ask a server that is behind.
func killTogether(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
	server, gateway := one(r, s.nats[:]), one(r, s.gateways[:])
	_ = server.end(syscall.SIGKILL, time.Second)
	_ = gateway.end(syscall.SIGKILL, time.Second)
	return func(context.Context) error { return errors.Join(server.start(), gateway.start()) }, nil
}

// repeatLive sends each raffle's oldest message that the stream has to the gateways
// once more, as a message that comes late.
func repeatLive(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	stream, err := s.odds(ctx)
	if err != nil {
		return nil, err
	}
	for id := range int64(raffles) {
		subject := oddsstream.Subject(id + 1)
		msg, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		live := nats.NewMsg(strings.Replace(oddsstream.AllLive, "*", strconv.FormatInt(id+1, 10), 1))
		live.Data = msg.Data
		live.Header.Set("Nats-Stream", oddsstream.Name)
		live.Header.Set("Nats-Subject", subject)
		live.Header.Set("Nats-Sequence", strconv.FormatUint(msg.Sequence, 10))
		live.Header.Set("Nats-Last-Sequence", "0")
		if err := s.admin.PublishMsg(live); err != nil {
			return nil, err
		}
	}
	return nothing, s.admin.FlushWithContext(ctx)
}

// truncateStream removes all messages but the newest few.
func truncateStream(ctx context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	stream, err := s.odds(ctx)
	if err != nil {
		return nil, err
	}
	return nothing, stream.Purge(ctx, jetstream.WithPurgeKeep(uint64(1+r.IntN(3*raffles))))
}

// deleteNewest removes each raffle's newest message: the stream is what it was a
// moment ago.
func deleteNewest(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	stream, err := s.odds(ctx)
	if err != nil {
		return nil, err
	}
	for id := range int64(raffles) {
		msg, err := stream.GetLastMsgForSubject(ctx, oddsstream.Subject(id+1))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err == nil {
			err = stream.DeleteMsg(ctx, msg.Sequence)
		}
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, err
		}
	}
	return nothing, nil
}
