package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goclient "github.com/rafflecast/rafflecast/clients/go"
	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/faults"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// goEntrants enter members by the Go client, by calls and over a stream, until they are
// stopped.
type goEntrants struct {
	raffle   int64
	client   *goclient.Client
	stopped  atomic.Bool
	running  sync.WaitGroup
	mu       sync.Mutex
	entered  map[string]int // entries by member that were acknowledged
	progress chan struct{}  // capacity 1: an entry was acknowledged
}

func (e *goEntrants) acknowledge(member string) {
	e.mu.Lock()
	e.entered[member]++
	e.mu.Unlock()
	select {
	case e.progress <- struct{}{}:
	default:
	}
}

// call enters members again and again, by calls. prefix begins their names.
func (e *goEntrants) call(ctx context.Context, t *testing.T, prefix string) {
	t.Helper()
	for n := 0; !e.stopped.Load(); n++ {
		member := nextMember(prefix, n)
		if _, err := e.client.Enter(ctx, e.raffle, member); err != nil {
			t.Errorf("call: %v", err)
			return
		}
		e.acknowledge(member)
	}
}

// nextMember returns one of 100 members.
func nextMember(prefix string, n int) string { return fmt.Sprintf("%s-%d", prefix, n%100) }

// stream enters members again and again, over the stream that all share.
func (e *goEntrants) stream(ctx context.Context, t *testing.T, s *goclient.Stream, prefix string) {
	t.Helper()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for n := 0; !e.stopped.Load(); n++ {
		member := nextMember(prefix, n)
		answer, err := s.Enter(ctx, &rafflev1.EnterRequest{RaffleId: e.raffle, MemberId: member})
		if err != nil {
			t.Errorf("stream: %v", err)
			return
		}
		waiting.Go(func() {
			if _, err := answer.Wait(ctx); err != nil {
				t.Errorf("answer: %v", err)
				return
			}
			e.acknowledge(member)
		})
	}
}

// await waits until entries were acknowledged n times.
func (e *goEntrants) await(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-e.progress:
		case <-ctx.Done():
			t.Fatal("entries are no longer acknowledged")
		}
	}
}

// A member may have many entries, so that one that is placed twice is seen.
func TestGoClient_LosesAndDoublesNothingOverCutsAndKills(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	database, server := pgtest.URL(t), natstest.Start(t)
	start := func() (*program, string) {
		p := launch(t, "participation", "serve", "--migrate", "--database-url="+database, "--nats-url="+server.URL(),
			"--grpc-address="+anyPort, "--http-address="+anyPort, "--ops-address="+anyPort, "--max-connection-age=2s")
		return p, p.awaitLog(`participation is serving.* grpc=(\S+)`)[1]
	}
	participation, address := start()
	link, err := faults.NewLink(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	c, err := goclient.New(link.Addr(), goclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	made, err := c.Raffles.CreateRaffle(ctx, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 1000})
	if err != nil {
		t.Fatal(err)
	}
	e := &goEntrants{raffle: made.GetRaffle().GetId(), client: c, entered: map[string]int{}, progress: make(chan struct{}, 1)}
	s := c.Stream(ctx, 20)
	for i := range 2 {
		e.running.Go(func() { e.call(ctx, t, fmt.Sprintf("call%d", i)) })
		e.running.Go(func() { e.stream(ctx, t, s, fmt.Sprintf("stream%d", i)) })
	}
	for i := range 12 {
		e.await(ctx, t, 5+rand.IntN(50))
		if i%4 != 3 {
			link.Cut()
			continue
		}
		if _, err := participation.stop(syscall.SIGKILL); err == nil {
			t.Error("killed, but its exit code is 0")
		}
		participation, address = start()
		link.Retarget(address)
	}
	e.await(ctx, t, 5)
	e.stopped.Store(true)
	e.running.Wait()
	s.Close()
	e.check(t, dial(t, address))
}

// check compares what was acknowledged with what is stored.
func (e *goEntrants) check(t *testing.T, c *client) {
	t.Helper()
	f := &fleet{t: t}
	f.instances[0].client, f.instances[1].client = c, c
	stored := f.listEntries(e.raffle)
	for member, n := range e.entered {
		if stored[member] != n {
			t.Errorf("%s: %d entries were acknowledged, %d are stored", member, n, stored[member])
		}
	}
	if len(stored) != len(e.entered) {
		t.Errorf("%d members are stored, %d were acknowledged", len(stored), len(e.entered))
	}
}

// The examples of the client's documentation, against real services.
func TestGoClient_ExamplesWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.awaitRaffle(t, b.client.create(t, "Signed guitar", 1))
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run=^Example", "-v", "github.com/rafflecast/rafflecast/clients/go")
	cmd.Env = append(os.Environ(), "EXAMPLE_PARTICIPATION="+b.grpc, "EXAMPLE_GATEWAY="+b.web)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	stored, err := b.client.entries.ListEntries(t.Context(), &rafflev1.ListEntriesRequest{RaffleId: 1})
	if err != nil || len(stored.GetEntries()) != 4 {
		t.Errorf("the examples have placed %v (%v)", stored, err)
	}
}
