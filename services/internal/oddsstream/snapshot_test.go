package oddsstream_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

func TestSnapshotOfABusyStreamEnds(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	ctx := t.Context()
	if err := oddsstream.Snapshot(ctx, js, nil); err == nil {
		t.Error("there is no stream yet")
	}
	if _, err := js.CreateStream(ctx, oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	if err := oddsstream.Snapshot(ctx, js, nil); err != nil {
		t.Errorf("an empty stream: %v", err)
	}
	const raffles = 2500 // more than two batches
	publish := func(id int64, value int) {
		if _, err := js.Publish(ctx, oddsstream.Subject(id), []byte(strconv.Itoa(value))); err != nil {
			t.Error(err)
		}
	}
	for id := range int64(raffles) {
		if _, err := js.PublishAsync(oddsstream.Subject(id+1), []byte("0")); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	publish(1, 1)
	var stop atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for value := 2; !stop.Load(); value++ {
			publish(int64(value%raffles)+1, value)
		}
	}()
	newest := map[string]int{}
	err := oddsstream.Snapshot(ctx, js, func(subject string, data []byte) {
		value, err := strconv.Atoi(string(data))
		if err != nil || value < newest[subject] {
			t.Errorf("%s: %q after %d", subject, data, newest[subject])
		}
		newest[subject] = value
	})
	stop.Store(true)
	<-stopped
	if err != nil || len(newest) != raffles || newest[oddsstream.Subject(1)] < 1 {
		t.Errorf("%d raffles, raffle 1 at %d, %v", len(newest), newest[oddsstream.Subject(1)], err)
	}
}
