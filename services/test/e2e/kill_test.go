package e2e_test

import (
	"context"
	"fmt"
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
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// instance is a participation process.
type instance struct {
	program *program
	client  *client
}

// fleet is two instances on the same stores, which the test kills and replaces.
type fleet struct {
	t         *testing.T
	args      []string
	mu        sync.RWMutex
	instances [2]instance
}

// launch starts or replaces an instance. Call it on the test's goroutine.
func (f *fleet) launch(i int) {
	f.t.Helper()
	p := launch(f.t, "participation", f.args...)
	c := dial(f.t, p.awaitLog(`participation is serving.* grpc=(\S+)`)[1])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances[i] = instance{p, c}
}

// any returns an instance, which may be dead.
func (f *fleet) any() *client {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.instances[rand.IntN(len(f.instances))].client
}

// enter sends a request again and again until it is acknowledged, for at most a
// minute.
func (f *fleet) enter(req *rafflev1.EnterRequest) error {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	for {
		call, done := context.WithTimeout(ctx, 2*time.Second)
		_, err := f.any().entries.Enter(call, req)
		done()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("an entry is not acknowledged: %w", err)
		}
	}
}

// callers enter members until they are stopped.
type callers struct {
	stopped      atomic.Bool
	running      sync.WaitGroup
	acknowledged sync.Map      // member ids
	progress     chan struct{} // capacity 1: an entry was acknowledged
}

// startCallers starts concurrent callers.
func (f *fleet) startCallers(raffleID int64) *callers {
	c := &callers{progress: make(chan struct{}, 1)}
	for range 8 {
		c.running.Go(func() {
			for !c.stopped.Load() {
				req := &rafflev1.EnterRequest{RaffleId: raffleID, MemberId: uuid.NewString(), RequestId: uuid.NewString()}
				if err := f.enter(req); err != nil {
					f.t.Error(err)
					return
				}
				c.acknowledged.Store(req.GetMemberId(), true)
				select {
				case c.progress <- struct{}{}:
				default:
				}
			}
		})
	}
	return c
}

// await waits until entries were acknowledged n times.
func (c *callers) await(t *testing.T, n int) {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for range n {
		select {
		case <-c.progress:
		case <-timeout:
			t.Fatal("entries are no longer acknowledged")
		}
	}
}

func TestParticipation_LosesNothingWhenInstancesAreKilled(t *testing.T) {
	t.Parallel()
	database, server := pgtest.URL(t), natstest.Start(t)
	f := &fleet{t: t, args: []string{
		"serve", "--migrate", "--database-url=" + database, "--nats-url=" + server.URL(),
		"--grpc-address=" + anyPort, "--http-address=" + anyPort, "--ops-address=" + anyPort,
	}}
	f.launch(0)
	f.launch(1)
	id := f.any().create(t, "A", 1)
	var newest atomic.Int64 // version on the stream
	_, err := server.JetStream().Conn().Subscribe(oddsstream.AllLive, func(msg *nats.Msg) {
		var o rafflev1.Odds
		if err := proto.Unmarshal(msg.Data, &o); err != nil || o.GetVersion() <= newest.Load() {
			t.Errorf("version %d after %d (%v)", o.GetVersion(), newest.Load(), err)
		}
		newest.Store(o.GetVersion())
	})
	if err != nil {
		t.Fatal(err)
	}

	callers := f.startCallers(id)
	const kills = 12
	for range kills {
		callers.await(t, 20+rand.IntN(200))
		victim := rand.IntN(2)
		if _, err := f.instances[victim].program.stop(syscall.SIGKILL); err == nil {
			t.Error("killed, but its exit code is 0")
		}
		f.launch(victim)
	}
	callers.stopped.Store(true)
	callers.running.Wait()

	stored := f.listEntries(id)
	callers.acknowledged.Range(func(member, _ any) bool {
		if stored[member.(string)] != 1 {
			t.Errorf("an acknowledged entry is stored %d times", stored[member.(string)])
		}
		return true
	})
	odds, err := f.any().entries.GetOdds(t.Context(), &rafflev1.GetOddsRequest{RaffleId: id})
	if err != nil || int(odds.GetOdds().GetEntries()) != len(stored) {
		t.Errorf("%d entries are stored, but the odds are %v (%v)", len(stored), odds, err)
	}
	last := odds.GetOdds().GetVersion()
	testenv.Eventually(
		t,
		fmt.Sprintf("the stream ends with version %d", last),
		10*time.Second,
		func() bool { return newest.Load() == last },
	)
}

// listEntries returns how many entries each member has.
func (f *fleet) listEntries(raffleID int64) map[string]int {
	f.t.Helper()
	stored := map[string]int{}
	for token := ""; ; {
		page, err := f.any().entries.ListEntries(
			f.t.Context(),
			&rafflev1.ListEntriesRequest{RaffleId: raffleID, PageSize: 1000, PageToken: token},
		)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, e := range page.GetEntries() {
			stored[e.GetMemberId()]++
		}
		if token = page.GetNextPageToken(); token == "" {
			return stored
		}
	}
}
