package e2e_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// instance is a participation process that is killed now and then.
type instance struct {
	*program
	clients
}

// fleet is two of them on the same stores.
type fleet struct {
	t         *testing.T
	args      []string
	mu        sync.RWMutex
	instances [2]instance
}

func (f *fleet) launch(i int) {
	p := launch(f.t, "participation", f.args...)
	c := dial(f.t, p.await(`participation is serving.* grpc=(\S+)`)[1])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances[i] = instance{p, c}
}

// any returns one that may or may not be alive.
func (f *fleet) any() instance {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.instances[rand.IntN(len(f.instances))]
}

// enter repeats a request until it is answered.
func (f *fleet) enter(req *rafflev1.EnterRequest) {
	for {
		call, cancel := context.WithTimeout(f.t.Context(), 2*time.Second)
		_, err := f.any().entries.Enter(call, req)
		cancel()
		if err == nil || f.t.Context().Err() != nil {
			return
		}
	}
}

func TestInstancesKilledAtRandomLoseNothingAndNeverMoveTheStreamBackwards(t *testing.T) {
	t.Parallel()
	database, server := pgtest.URL(t), natstest.Start(t)
	f := &fleet{t: t, args: []string{
		"serve", "--migrate", "--database-url=" + database, "--nats-url=" + server.URL(),
		"--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--ops-address=127.0.0.1:0",
	}}
	f.launch(0)
	f.launch(1)
	made, err := f.any().raffles.CreateRaffle(t.Context(), &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	if err != nil {
		t.Fatal(err)
	}
	id := made.GetRaffle().GetId()
	var newest atomic.Int64
	_, err = server.JetStream().Conn().Subscribe(oddsstream.AllLive, func(msg *nats.Msg) {
		var o rafflev1.Odds
		if err := proto.Unmarshal(msg.Data, &o); err != nil || o.GetVersion() <= newest.Load() {
			t.Errorf("version %d after %d (%v)", o.GetVersion(), newest.Load(), err)
		}
		newest.Store(o.GetVersion())
	})
	if err != nil {
		t.Fatal(err)
	}

	var enough atomic.Bool
	var calling sync.WaitGroup
	var acknowledged sync.Map
	progress := make(chan struct{}, 1)
	for range 8 {
		calling.Go(func() {
			for !enough.Load() {
				req := &rafflev1.EnterRequest{RaffleId: id, MemberId: uuid.NewString(), RequestId: uuid.NewString()}
				f.enter(req)
				acknowledged.Store(req.GetMemberId(), true)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	const rounds = 12
	for range rounds {
		for range 20 + rand.IntN(200) {
			<-progress
		}
		victim := rand.IntN(2)
		if _, err := f.instances[victim].stop(syscall.SIGKILL); err == nil {
			t.Error("killed, and ended well?")
		}
		f.launch(victim)
	}
	enough.Store(true)
	calling.Wait()
	f.verify(t, id, &acknowledged, &newest)
}

// verify compares what was acknowledged with what is stored, and the stream's end
// with the raffle.
func (f *fleet) verify(t *testing.T, id int64, acknowledged *sync.Map, newest *atomic.Int64) {
	t.Helper()
	stored := map[string]int{}
	for token := ""; ; {
		page, err := f.any().entries.ListEntries(t.Context(), &rafflev1.ListEntriesRequest{RaffleId: id, PageSize: 1000, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEntries() {
			stored[e.GetMemberId()]++
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	acknowledged.Range(func(member, _ any) bool {
		if stored[member.(string)] != 1 {
			t.Errorf("an acknowledged entry is stored %d times", stored[member.(string)])
		}
		return true
	})
	odds, err := f.any().entries.GetOdds(t.Context(), &rafflev1.GetOddsRequest{RaffleId: id})
	if err != nil || int(odds.GetOdds().GetEntries()) != len(stored) {
		t.Errorf("%d entries are stored, the odds say %v (%v)", len(stored), odds, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for newest.Load() != odds.GetOdds().GetVersion() {
		if time.Now().After(deadline) {
			t.Fatalf("the stream ends with version %d, the raffle is at %d", newest.Load(), odds.GetOdds().GetVersion())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
