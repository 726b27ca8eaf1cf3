package oddsstream_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

func TestSnapshot_EndsOnBusyStream(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	ctx := t.Context()
	if _, err := oddsstream.Snapshot(ctx, js, oddsstream.Names{}, nil); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("no stream: %v", err)
	}
	if _, err := js.CreateStream(ctx, oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := oddsstream.Snapshot(ctx, js, oddsstream.Names{}, nil); err != nil {
		t.Errorf("an empty stream: %v", err)
	}
	const raffles = 2500 // more than two batches
	publish := func(id int64, value int) {
		if _, err := js.PublishAsync(oddsstream.Subject(id), []byte(strconv.Itoa(value))); err != nil {
			t.Error(err)
		}
	}
	for id := range int64(raffles) {
		publish(id+1, 0)
	}
	publish(1, 1)
	<-js.PublishAsyncComplete()
	newest, taken := map[string]int{}, 0
	_, err := oddsstream.Snapshot(ctx, js, oddsstream.Names{}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) {
		subject, data := m.Subject(), m.Data()
		value, err := strconv.Atoi(string(data))
		if err != nil || value < newest[subject] {
			t.Errorf("%s: %q after %d", subject, data, newest[subject])
		}
		newest[subject] = value
		if taken++; taken == 3*raffles {
			t.Fatal("it never ends")
		}
		publish(int64(taken%raffles)+1, taken) // there is always one more
		if taken%500 == 0 {                    // by the end of each batch, at the latest
			<-js.PublishAsyncComplete()
		}
	})
	if err != nil || len(newest) != raffles || newest[oddsstream.Subject(1)] < 1 {
		t.Errorf("%d raffles, raffle 1 at %d, %v", len(newest), newest[oddsstream.Subject(1)], err)
	}
}

// A raffle may change while a snapshot is being taken. Then its newer message comes
// instead, however late.
func TestSnapshot_CoversEachRaffleWhileAllChange(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	ctx := t.Context()
	if _, err := js.CreateStream(ctx, oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	const raffles = 100
	publishAll := func() {
		for id := range int64(raffles) {
			if _, err := js.PublishAsync(oddsstream.Subject(id+1), nil); err != nil {
				t.Error(err)
			}
		}
	}
	publishAll()
	<-js.PublishAsyncComplete()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				publishAll()
				<-js.PublishAsyncComplete()
			}
		}
	}()
	for range 50 {
		got := make(map[string]bool)
		if _, err := oddsstream.Snapshot(ctx, js, oddsstream.Names{}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) { got[m.Subject()] = true }); err != nil || len(got) != raffles {
			t.Fatalf("%d raffles, %v", len(got), err)
		}
	}
	close(stop)
	<-stopped
}

func TestSnapshot_EndsWithContext(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	if _, err := js.CreateStream(t.Context(), oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	for id := range int64(2000) { // two batches
		if _, err := js.PublishAsync(oddsstream.Subject(id+1), nil); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	ctx, cancel := context.WithCancel(t.Context())
	from, taken := time.Now(), 0
	_, err := oddsstream.Snapshot(ctx, js, oddsstream.Names{}, func(jetstream.Msg, *jetstream.MsgMetadata) {
		if taken++; taken == 10 {
			cancel()
		}
	})
	if took := time.Since(from); !errors.Is(err, context.Canceled) || taken > 1000 || took > 4*time.Second {
		t.Errorf("took %d messages and %v, then %v", taken, took, err)
	}
}
