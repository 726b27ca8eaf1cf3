package fanout

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// runHub runs a hub behind a server until the test ends. stream says what each client
// is sent.
func runHub(t *testing.T, cfg Config, stream func() Stream, opts ...Option) (hub *Hub, address string) {
	t.Helper()
	hub, err := NewHub(cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		if err := hub.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hub.Serve(w, r, stream()) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	server.Config.ConnContext = ConnContext
	server.Start()
	t.Cleanup(func() {
		cancel()
		testenv.Receive(t, "the end of Run", 30*time.Second, ran)
		if n := hub.Open(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		server.Close()
	})
	return hub, server.Listener.Addr().String()
}

const (
	stressRaffles = 4
	stressClients = 60
	stressUpdates = 200
)

// Real clients come, read, stall and go while updates are published, with both kinds of
// connections. Each must be sent rising versions, and the last.
func TestHub_Stress(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]Option{"handlers": {DisableDetach}, "detached": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stress(t, append(options, threeShards)...)
		})
	}
}

// stressRun is what clients of a stress test share.
type stressRun struct {
	t         *testing.T
	address   string
	published [stressUpdates + 1]chan struct{} // closed when all raffles have this version
}

func stress(t *testing.T, opts ...Option) {
	t.Helper()
	cfg := testConfig()
	cfg.SendBuffer, cfg.ConflationInterval, cfg.Heartbeat = 4096, time.Millisecond, 20*time.Millisecond
	var open atomic.Int64 // streams whose Done was not called yet
	hub, address := runHub(t, cfg, func() Stream {
		open.Add(1)
		return Stream{
			Subscriptions: []Subscription{to(1), to(2 + rand.N(int64(stressRaffles-1)))}, Opening: []byte(":\n\n"),
			Done: func(Reason) { open.Add(-1) },
		}
	}, opts...)
	run := &stressRun{t: t, address: address}
	for v := range run.published {
		run.published[v] = make(chan struct{})
	}
	var clients sync.WaitGroup
	for i := range stressClients {
		clients.Go(func() { run.client(i) })
	}
	pace := time.NewTicker(time.Millisecond) // of a busy raffle
	defer pace.Stop()
	for v := range int64(stressUpdates) {
		for id := range int64(stressRaffles) {
			u := update(id+1, v+1)
			cfg.Cache.Put(u)
			hub.Publish(u)
		}
		close(run.published[v+1])
		<-pace.C
	}
	clients.Wait()
	// A handler may still begin for a client that has left already.
	testenv.Eventually(t, "the connections of clients that left have ended", 10*time.Second, func() bool { return open.Load() == 0 })
}

// client comes and goes. One in three stays until it has the last version of raffle 1,
// and some stop reading for a while.
func (s *stressRun) client(i int) {
	for {
		stays := i%3 == 0
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			s.t.Error(err)
			return
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		if i%5 == 0 {
			conn.Write([]byte("GET /pipelined HTTP/1.1\r\nHost: x\r\n\r\n"))
		}
		lines, last := bufio.NewReader(conn), make(map[int64]int64)
		for n := 0; stays || n < 50; n++ {
			line, err := lines.ReadString('\n')
			if err != nil {
				s.t.Errorf("client %d, with %v: %v", i, last, err)
				break
			}
			id, ok := strings.CutPrefix(strings.TrimSpace(line), "id: ")
			if !ok {
				continue
			}
			version, risen := int64(0), 0
			odds.ParseIDs(id, func(raffleID int64, seen odds.Seen) {
				if version = seen.Version; version < last[raffleID] {
					s.t.Errorf("client %d: raffle %d: version %d after %d", i, raffleID, version, last[raffleID])
				} else if version > last[raffleID] {
					risen++
				}
				last[raffleID] = version
			})
			if risen != 1 {
				s.t.Errorf("client %d: an event brings something new of %d raffles", i, risen)
			}
			if last[1] == stressUpdates {
				break
			}
			if i%4 == 0 && n%20 == 0 { // it stalls for about 20 ms
				<-s.published[min(version+20, stressUpdates)]
			}
		}
		conn.Close()
		if stays {
			return
		}
		select {
		case <-s.published[stressUpdates]:
			return
		default:
		}
	}
}

// A client that keeps sending after its request is dropped; one that sends a little is
// not.
func TestHub_DropsClientThatKeepsSending(t *testing.T) {
	t.Parallel()
	if !canDetach {
		t.Skip("nothing is detached on this system")
	}
	ended := make(chan Reason, 1)
	hub, address := runHub(t, testConfig(), func() Stream {
		return Stream{Subscriptions: []Subscription{to(1)}, Opening: []byte(":\n\n"), Done: func(why Reason) { ended <- why }}
	})
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	r := bufio.NewReader(conn)
	for line := ""; line != ":\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	conn.Write(make([]byte, maxInput))
	r.ReadString('\n')
	hub.Publish(update(1, 1))
	if line, err := r.ReadString('\n'); line != "id: 1:e:1\n" {
		t.Fatalf("after a little input: %q %v", line, err)
	}
	conn.Write([]byte("x"))
	select {
	case why := <-ended:
		if why != UnexpectedInput {
			t.Errorf("ended for %q", why)
		}
	case <-time.After(30 * time.Second):
		t.Error("the connection has not ended")
	}
}

// Run may end at any time: while clients connect, poll and are drained, and before it
// has begun.
func TestHub_StopsAtAnyTime(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]Option{nil, {DisableDetach}} {
		for range 20 {
			cfg := testConfig()
			cfg.Cache.Put(update(1, 1))
			hub, err := NewHub(cfg, opts...)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !hub.Serve(w, r, Stream{Subscriptions: []Subscription{to(1)}, Opening: []byte(":\n\n")}) {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}))
			server.Config.ConnContext = ConnContext
			server.Start()
			ctx, cancel := context.WithCancel(t.Context())
			var others sync.WaitGroup
			for range 3 {
				others.Go(func() {
					if resp, err := http.Get(server.URL); err == nil {
						resp.Body.Close()
					}
				})
				others.Go(func() { hub.Wait(t.Context(), cfg.Cache.Newest(1), time.Minute) })
			}
			others.Go(func() { hub.Publish(update(1, 2)) })
			others.Go(cancel)
			if rand.N(2) == 0 {
				others.Go(func() { hub.Drain(t.Context(), time.Minute) })
			}
			ran := make(chan struct{})
			go func() { hub.Run(ctx); close(ran) }()
			testenv.Receive(t, "the end of Run", 30*time.Second, ran)
			others.Wait()
			if n := hub.Open(); n != 0 {
				t.Errorf("%d are open", n)
			}
			server.Close()
		}
	}
}

func threeShards(o *options) { o.shards = 3 }
