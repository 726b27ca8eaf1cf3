package outbox

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// replicated returns the stream with three replicas, by a connection to one server.
func replicated(server *natstest.Server) *JetStream {
	j := NewJetStream(server.JetStream(), oddsstream.Names{}, 3)
	j.UseDatabase("ours")
	return j
}

// Two instances that start together both make the stream, and a cluster may leave one or
// the other without an answer.
func TestJetStream_TwoInstancesMakeTheStreamOfACluster(t *testing.T) {
	t.Parallel()
	servers := natstest.StartCluster(t, 3)
	var making sync.WaitGroup
	for _, server := range servers[:2] {
		j := replicated(server)
		making.Go(func() {
			var err error
			for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
				if err = j.Ensure(t.Context()); err == nil {
					return
				}
			}
			t.Error(err)
		})
	}
	making.Wait()
	wantForeign(t, servers[2].JetStream())
}

// A replica that was away is behind for a moment after it is back, and may be the one
// that answers: what is read then must not pass for the newest.
func TestJetStream_NewestOfAClusterIsTheNewest(t *testing.T) {
	t.Parallel()
	servers := natstest.StartCluster(t, 3)
	stream := replicated(servers[0])
	if err := stream.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	const raffles = 50
	js := servers[0].JetStream()
	after := make(map[int64]uint64)
	for round := int64(1); round <= 6; round++ {
		away := follower(t, js, servers)
		away.Stop()
		for id := int64(1); id <= raffles; id++ {
			seq, err := appendSoon(t, stream, id, round, after[id])
			if err != nil {
				t.Fatal(err)
			}
			after[id] = seq
		}
		away.Start()
		var newest map[int64]Message
		testenv.Eventually(t, "the stream can be read", time.Minute, func() bool {
			var err error // while a server comes back, a request may stay without an answer
			newest, err = stream.Newest(t.Context())
			return err == nil
		})
		for id := int64(1); id <= raffles; id++ {
			if newest[id].Version != round {
				t.Fatalf("round %d: raffle %d is read as version %d", round, id, newest[id].Version)
			}
		}
	}
}

// A server that has lost the others goes on answering for the stream as it was.
func TestJetStream_LeavesAServerThatHasLostTheOthers(t *testing.T) {
	t.Parallel()
	servers := natstest.StartCluster(t, 3)
	stream := replicated(servers[0])
	if err := stream.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := appendSoon(t, stream, 1, 1, 0); err != nil {
		t.Fatal(err)
	}
	stream.Leaver = natsconn.NewLeaver(stream.js.Conn(), 0, slog.New(slog.NewTextHandler(t.Output(), nil)))
	servers[1].Stop()
	servers[2].Stop()
	testenv.Eventually(t, "the server is not believed", time.Minute, func() bool {
		_, err := stream.State(t.Context())
		return errors.Is(err, oddsstream.ErrNoLeader)
	})
	testenv.Eventually(t, "the server is left", time.Minute, func() bool {
		return stream.js.Conn().Stats().Reconnects > 0
	})
}

// follower returns a server that has a replica of the stream, and is neither its leader
// nor the one that js is connected to.
func follower(t *testing.T, js jetstream.JetStream, servers []*natstest.Server) *natstest.Server {
	t.Helper()
	s, err := js.Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	leader := s.CachedInfo().Cluster.Leader
	for _, server := range servers[1:] {
		if server.Name() != leader {
			return server
		}
	}
	t.Fatalf("no follower beside %s", leader)
	return nil
}

// appendSoon appends a version, and repeats that for as long as a cluster has no leader.
func appendSoon(t *testing.T, s *JetStream, id, v int64, after uint64) (seq uint64, err error) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if seq, err = s.Append(t.Context(), version(id, v), after); err == nil {
			return seq, nil
		}
		last, lastErr := s.Last(t.Context(), id)
		if lastErr == nil && last.Version == v {
			return last.Seq, nil
		}
	}
	return 0, err
}
